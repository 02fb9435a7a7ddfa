-- The types of a config: taken from the defaults of a script, applied to the text of overrides. A schema node is
--   { type = "int" | "number" | "string" | "boolean" | "list" | "table" | "any", optional =, fields = {name = node},
--     item = node of a list's items, shown = the default as text }
local fail = require 'fail'
local nearest = require 'nearest'
local pretty = require 'pretty'

local schema = {}

local MAX_DEPTH = 16
local TYPES = { int = true, number = true, string = true, boolean = true, list = true, table = true, any = true }
local ARTICLE = { int = 'an int', any = 'a value' }

-- Marks a default whose type cannot be seen in its value.
local Marker = {}

---A default with a declared type.
---@param type_name string
---@param default any
---@param optional boolean whether nil is allowed
function schema.mark(type_name, default, optional)
  if not TYPES[type_name] then
    fail.config("unknown config type '%s'%s", tostring(type_name),
      nearest.hint(tostring(type_name), { 'int', 'number', 'string', 'boolean', 'list', 'table', 'any' }))
  end
  return setmetatable({ type = type_name, default = default, optional = optional }, Marker)
end

local function is_int(x)
  return x % 1 == 0 and math.abs(x) < 2 ^ 53
end

local function type_of(value)
  if type(value) == 'number' then return is_int(value) and 'int' or 'number' end
  if type(value) ~= 'table' then return type(value) end
  if next(value) == nil then return 'any' end -- {} may become a list or a table
  return #value > 0 and 'list' or 'table'
end

---The path of a key below a path.
---@param path string
---@param key string|integer
---@return string
function schema.join(path, key)
  return path == '' and tostring(key) or path .. '.' .. tostring(key)
end
local join = schema.join

-- The type of list items: whole and other numbers mix, anything else of two kinds is untyped.
local function common_type(a, b)
  if a.type == b.type or (a.type == 'number' and b.type == 'int') then return a end
  return a.type == 'int' and b.type == 'number' and b or { type = 'any' }
end

local infer

local function infer_list(list, path, depth)
  local node, values = { type = 'list' }, {}
  for key in pairs(list) do
    if type(key) ~= 'number' or key < 1 or key > #list or key % 1 ~= 0 then
      fail.config("config '%s' mixes a list with the key '%s'", path, tostring(key))
    end
  end
  for i, value in ipairs(list) do
    local item
    item, values[i] = infer(value, join(path, i), depth + 1)
    node.item = common_type(node.item or item, item)
  end
  return node, values
end

local function infer_table(fields, path, depth)
  local node, values = { type = 'table', fields = {} }, {}
  for key, value in pairs(fields) do
    if type(key) ~= 'string' or not key:match('^[%a_][%w_]*$') then
      fail.config("config key '%s' is not an identifier (letters, digits, _)", join(path, key))
    end
    node.fields[key], values[key] = infer(value, join(path, key), depth + 1)
  end
  return node, values
end

function infer(value, path, depth)
  if depth > MAX_DEPTH then fail.config("config '%s' is nested deeper than %d", path, MAX_DEPTH) end
  if getmetatable(value) == Marker then
    local node, plain = { type = value.type }, nil
    if value.default ~= nil then node, plain = infer(value.default, path, depth) end
    if value.default ~= nil and node.type ~= value.type and value.type ~= 'any'
      and not (value.type == 'number' and node.type == 'int') and node.type ~= 'any' then
      fail.config("config '%s' is declared %s, its default is %s", path, value.type, pretty.inline(value.default))
    end
    node.type, node.optional = value.type, value.optional
    return node, plain
  end
  local kind = type_of(value)
  if not TYPES[kind] then
    fail.config("config '%s' is a %s; values are numbers, text, booleans and tables of them", path, type(value))
  end
  if kind == 'number' and (value ~= value or math.abs(value) == math.huge) then
    fail.config("config '%s' is %s; numbers must be finite", path, pretty.number(value))
  end
  if kind == 'list' then return infer_list(value, path, depth) end
  if kind == 'table' then return infer_table(value, path, depth) end
  if kind == 'any' then return { type = 'any' }, {} end
  return { type = kind }, value
end

---Raises the error for a value of the wrong type.
---@param path string
---@param node table
---@param found string
function schema.type_error(path, node, found)
  local hint = ''
  if node.type == 'int' and type(tonumber(found)) == 'number' then
    hint = '; a whole default takes whole numbers only, write experiment.number(x) in the script to allow fractions'
  end
  if node.type == 'list' and found ~= 'a table' then hint = ('; a list is written %s=[%s]'):format(path, found) end
  if node.type == 'table' then
    local name = node.fields and pretty.sorted_keys(node.fields)[1]
    hint = name and ('; its keys are set one by one, such as %s=...'):format(join(path, name)) or ''
  end
  local default = node.shown and (' (its default is %s)'):format(node.shown) or ''
  fail.config("key '%s' must be %s%s, got %s%s", path, ARTICLE[node.type] or 'a ' .. node.type, default, found, hint)
end

-- The number a text means; nil, true for inf and nan, which tonumber would take.
local function to_number(text)
  local x = tonumber(text)
  if x and (x ~= x or math.abs(x) == math.huge) then return nil, true end
  local word = text:lower():match '^[+-]?(%l+)$'
  if word == 'inf' or word == 'infinity' or word == 'nan' then return nil, true end
  return x
end

local function untyped(text, path)
  if text == 'true' then return true end
  if text == 'false' then return false end
  local x, infinite = to_number(text)
  if infinite then fail.config("key '%s': %s is refused, numbers must be finite", path, text) end
  return x or text
end

local convert

local function convert_scalar(node, given, path)
  local text, kind = given.text, node.type
  if given.kind == 'quoted' then
    if kind == 'string' or kind == 'any' then return text end
    schema.type_error(path, node, ("the text '%s'"):format(text))
  end
  if text == 'nil' then
    if node.optional then return nil end
    fail.config("key '%s' cannot be nil; remove it with '~%s', or declare it experiment.optional(...)", path, path)
  end
  if kind == 'string' then return text end
  local value = untyped(text, path)
  local found = type_of(value)
  if kind == 'any' or found == kind or (kind == 'number' and found == 'int') then return value end
  return schema.type_error(path, node, text)
end

local function convert_list(node, given, path)
  if node.type ~= 'list' and node.type ~= 'any' then schema.type_error(path, node, 'a list') end
  local values, kind = {}, node.item or { type = 'any' }
  -- records of a list need not be alike; who reads them checks them
  if kind.type == 'table' then kind = { type = 'any' } end
  for i, item in ipairs(given.items) do
    values[i] = convert(kind, item, join(path, i))
    if values[i] == nil then fail.config("key '%s': a list cannot hold nil", join(path, i)) end
  end
  return values
end

local function convert_table(given, path)
  local values = {}
  for _, name in ipairs(given.names) do
    values[name] = convert({ type = 'any' }, given.fields[name], join(path, name))
  end
  return values
end

function convert(node, given, path)
  if given.kind == 'list' then return convert_list(node, given, path) end
  if given.kind ~= 'table' then return convert_scalar(node, given, path) end
  if node.type ~= 'any' then schema.type_error(path, node, 'a table') end
  return convert_table(given, path)
end

---The schema of a default and its plain value.
---@param value any
---@param path string
---@return table node, any plain
function schema.infer(value, path)
  return infer(value, path, 1)
end

---The value of a parsed override for a schema node; raises when the types differ.
---@param node table
---@param given table see overrides.lua
---@param path string
---@return any
function schema.convert(node, given, path)
  return convert(node, given, path)
end

return schema
