-- Files with one JSON object a line: read with every field checked, so that a bad line is named and none is left out.
local dkjson = require 'dkjson'
local fail = require 'fail'
local files = require 'files'
local json = require 'json'
local nearest = require 'nearest'

local json_lines = {}

-- dkjson itself, not json.decode: it is the line of the file that helps, and thirty thousand lines take 0.2 s.
local function decoded(path, number, line, example)
  local value, stopped, problem = dkjson.decode(line, 1, dkjson.null, nil, nil)
  if not problem and type(value) == 'table' and line:find '^%s*{' then
    local rest = line:find('%S', stopped)
    if not rest then return value end
    problem = ('extra text at column %d'):format(rest)
  end
  problem = problem and tostring(problem):gsub(' at line 1, column', ' at column') or 'it is no object'
  return fail.data("'%s' line %d: not one JSON object (%s); expected a line such as %s", path, number, problem, example)
end

local function check_text(path, number, record, field)
  local value = record[field]
  if type(value) == 'string' and value:find '%S' then return end
  local found = value == nil and 'there is none' or value == dkjson.null and 'it is null'
    or type(value) == 'string' and 'it is empty' or 'it is a ' .. type(value)
  fail.data("'%s' line %d: field '%s' must be a text that is not empty, but %s", path, number, field, found)
end

local function check_known(path, number, record, known)
  for name in pairs(record) do
    if not known[name] then
      local names = {}
      for other in pairs(known) do names[#names + 1] = other end
      table.sort(names)
      fail.data("'%s' line %d: field '%s' is not known%s", path, number, name, nearest.hint(name, names))
    end
  end
end

---The objects of a file in its order; blank lines are passed over. Raises (exit 4) where a line is not as declared, and
---where there is no object at all.
---@param path string
---@param layout { texts: string[], objects: string[]?, example: string } fields that must be texts, fields that may be
---there and are objects then, and a good line for the messages
---@return table[] records
---@return integer[] numbers the line of each
function json_lines.read(path, layout)
  local records, numbers, number, known = {}, {}, 0, {}
  for _, list in ipairs { layout.texts, layout.objects or {} } do
    for _, name in ipairs(list) do known[name] = true end
  end
  for line in (files.read(path) .. '\n'):gmatch '(.-)\r?\n' do
    number = number + 1
    if line:find '%S' then
      local record = decoded(path, number, line, layout.example)
      check_known(path, number, record, known)
      for _, field in ipairs(layout.texts) do check_text(path, number, record, field) end
      for _, field in ipairs(layout.objects or {}) do
        local value = record[field]
        if value ~= nil and (type(value) ~= 'table' or value == dkjson.null or #value > 0) then
          fail.data("'%s' line %d: field '%s' must be an object of named values", path, number, field)
        end
      end
      records[#records + 1], numbers[#numbers + 1] = record, number
    end
  end
  if #records == 0 then fail.data("'%s' is empty; expected lines such as %s", path, layout.example) end
  return records, numbers
end

---Records as lines, keys in order, so that equal records make equal files.
---@param records table[]
---@return string
function json_lines.text(records)
  local lines = {}
  for i, record in ipairs(records) do lines[i] = json.encode(record) end
  lines[#lines + 1] = ''
  return table.concat(lines, '\n')
end

return json_lines
