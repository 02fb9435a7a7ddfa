-- Option tables with a spec. A spec maps names to
--   'int'                      required       'int?'   may be absent
--   {'int', 1}                 default 1      {'string', 'lstm', one_of = {'lstm', 'gru'}}   one of several texts
--   'int|string'               several types  {'int', 3, min = 1}                            a number from 1 on
-- Types: int number string boolean function table list any, or a name that userdata report, such as 'Tensor'.
local fail = require 'fail'
local nearest = require 'nearest'
local pretty = require 'pretty'

local options = {}

local function is_list(value)
  if type(value) ~= 'table' then return false end
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  return count == #value
end

local CHECKS = {
  int = function(value) return type(value) == 'number' and value % 1 == 0 and math.abs(value) < 2 ^ 53 end,
  number = function(value) return type(value) == 'number' and value == value and math.abs(value) ~= math.huge end,
  list = is_list,
  any = function(value) return value ~= nil end,
}

-- The name of a userdata's type: __name of its metatable, as luaL_newmetatable of later Luas sets it.
local function type_name(value)
  local meta = type(value) == 'userdata' and debug.getmetatable(value)
  return type(meta) == 'table' and rawget(meta, '__name') or type(value)
end

local function matches(value, types)
  for name in types:gmatch('[^|]+') do
    local check = CHECKS[name]
    if check and check(value) or not check and type_name(value):match('[^.]*$') == name then return true end
  end
  return false
end

-- { types = "int|string", optional =, default =, one_of =, min = }
local function read_spec(row)
  local types = type(row) == 'table' and row[1] or row
  local spec = { types = types:gsub('%?$', ''), optional = types:sub(-1) == '?' }
  if type(row) == 'table' then spec.default, spec.one_of, spec.min = row[2], row.one_of, row.min end
  return spec
end

local function copy(value)
  if type(value) ~= 'table' or getmetatable(value) then return value end
  local made = {}
  for key, item in pairs(value) do made[key] = copy(item) end
  return made
end

local function describe(value)
  if type(value) == 'userdata' then return type_name(value) end
  if type(value) == 'function' then return 'a function' end
  return ('%s %s'):format(type(value), pretty.inline(value))
end

local function check_value(who, name, value, spec)
  if not matches(value, spec.types) then
    local article = spec.types:find('^[aeiou]') and 'an' or 'a'
    fail.config("%s: option '%s' must be %s %s, got %s", who, name, article, spec.types:gsub('|', ' or '),
      describe(value))
  end
  if spec.min and type(value) == 'number' and value < spec.min then
    fail.config("%s: option '%s' must be at least %s, got %s", who, name, pretty.number(spec.min), pretty.number(value))
  end
  if not spec.one_of then return end
  for _, allowed in ipairs(spec.one_of) do
    if value == allowed then return end
  end
  fail.config("%s: option '%s' is %s%s", who, name, pretty.inline(value), nearest.hint(tostring(value), spec.one_of))
end

local function refuse_unknown(who, given, spec)
  local names = {}
  for name in pairs(spec) do names[#names + 1] = tostring(name) end
  for _, key in ipairs(pretty.sorted_keys(given)) do
    if spec[key] == nil then
      local hint = nearest.hint(tostring(key), names, function(name)
        local row = spec[name] or spec[tonumber(name)]
        return ('%s (%s)'):format(name, read_spec(row).types)
      end)
      fail.config("%s: unknown option '%s'%s", who, tostring(key), hint)
    end
  end
end

---Checks an option table against its spec. Raises on unknown, missing and mistyped options.
---@param who string what takes the options, such as 'nn.GRU'
---@param given table?
---@param spec table
---@return table checked a new table with defaults filled in
function options.check(who, given, spec)
  if given == nil then given = {} end
  if type(given) ~= 'table' then fail.config('%s: expected a table of options, got %s', who, describe(given)) end
  refuse_unknown(who, given, spec)
  local checked = {}
  for _, name in ipairs(pretty.sorted_keys(spec)) do
    local row = read_spec(spec[name])
    local value = given[name]
    if value == nil then
      if row.default == nil and not row.optional then
        fail.config("%s: option '%s' (%s) is required", who, tostring(name), row.types)
      end
      value = copy(row.default)
    else
      check_value(who, tostring(name), value, row)
    end
    checked[name] = value
  end
  return checked
end

---A table of options with some of them changed; the given one stays as it is.
---@param given table
---@param changes table?
---@return table
function options.with(given, changes)
  local made = {}
  for key, value in pairs(given) do made[key] = value end
  for key, value in pairs(changes or {}) do made[key] = value end
  return made
end

return options
