-- JSON for scripts: text, files and back, exactly. What JSON cannot hold is an error that names the place, never
-- another value.
local dkjson = require 'dkjson'
local fail = require 'fail'
local files = require 'files'

local json = {}

local DEEPEST = 100

-- A JSON null, which a table of Lua cannot hold as nil: json.decode('[null]')[1] == json.null.
json.null = dkjson.null

local exactly = { __tojson = function(number) return ('%.17g'):format(number.value) end }

local function at(path) return path == '' and 'the value' or "'" .. path .. "'" end

local encodable

local function encodable_number(value, path)
  if value ~= value or value == math.huge or value == -math.huge then
    fail.data('json: %s is %s, for which JSON has no number', at(path), tostring(value))
  end
  if tonumber(('%.14g'):format(value)) == value then return value end -- as the library writes it
  return setmetatable({ value = value }, exactly)
end

local function encodable_table(value, path, depth)
  if depth > DEEPEST then fail.data('json: %s is nested more than %d deep, or holds itself', at(path), DEEPEST) end
  local meta = getmetatable(value)
  local kind, length, count = meta and meta.__jsontype, #value, 0
  for _ in next, value do count = count + 1 end
  if count ~= length and length > 0 then
    fail.data('json: %s has both list items and named fields, or holes; JSON has lists and objects', at(path))
  end
  local made = {}
  for key, item in next, value do
    if length == 0 and type(key) ~= 'string' then
      fail.data('json: %s has the key %s; keys of an object are strings', at(path), tostring(key))
    end
    local place = length > 0 and ('%s[%d]'):format(path, key) or path == '' and key or path .. '.' .. key
    made[key] = encodable(item, place, depth + 1)
  end
  return setmetatable(made, { __jsontype = kind or (length > 0 and 'array' or 'object') })
end

function encodable(value, path, depth)
  local kind = type(value)
  if value == json.null or kind == 'nil' or kind == 'boolean' then return value end
  if kind == 'number' then return encodable_number(value, path) end
  if kind == 'string' then
    if not files.is_utf8(value) then fail.data('json: %s is text that is not UTF-8', at(path)) end
    return value
  end
  if kind == 'table' then return encodable_table(value, path, depth) end
  fail.data('json: %s is a %s; tensors become lists by x:tolist()', at(path), kind)
end

local function sorted_keys(value, into)
  if type(value) ~= 'table' or value == json.null then return end
  for key, item in next, value do
    if type(key) == 'string' then into[key] = true end
    sorted_keys(item, into)
  end
end

---A value as JSON text. Tables with list items are arrays, others objects with sorted keys; json.array{} is an empty
---array, json.null a null. Numbers keep every bit. Raises (exit 4) for NaN, infinity, functions, tensors, holes and
---tables that hold themselves.
---@param value any
---@param given? { indent: boolean? } indent: over several lines
---@return string
function json.encode(value, given)
  local made, keys, order = encodable(value, '', 1), {}, {}
  sorted_keys(made, keys)
  for key in pairs(keys) do order[#order + 1] = key end
  table.sort(order)
  return dkjson.encode(made, { indent = given and given.indent or false, keyorder = order })
end

---The value of JSON text; nulls are json.null. Raises (exit 4) with the line and column where it is not JSON.
---@param text string
---@param name? string what the text is, for the message
---@return any
function json.decode(text, name)
  local value, stopped, problem = dkjson.decode(text, 1, json.null, nil, nil)
  if not problem then
    local rest = text:find('%S', stopped)
    if not rest then return value end
    stopped, problem = rest, 'extra text after the value'
  end
  local before = text:sub(1, (tonumber(stopped) or 1) - 1)
  local line = select(2, before:gsub('\n', '')) + 1
  fail.data('json: %s, line %d, column %d: %s', name or 'the text', line, #before:match '[^\n]*$' + 1,
    (tostring(problem):gsub(' at line %d+, column %d+', '')))
end

---Marks a table as an array, so that an empty one is written as [].
---@param list table
---@return table
function json.array(list)
  return setmetatable(list, { __jsontype = 'array' })
end

---The value of a JSON file. Raises (exit 4) when there is none or it is not JSON.
---@param path string
---@return any
function json.read(path)
  return json.decode(files.read(path), "'" .. path .. "'")
end

---Writes a value as a JSON file, whole or not at all.
---@param path string
---@param value any
---@param given? { indent: boolean? } indent: over several lines, the default here
function json.write(path, value, given)
  files.write(path, json.encode(value, given or { indent = true }) .. '\n')
end

return json
