-- The defaults of a script's config, filled in with the library's options (specs.lua), so that each of them can be set
-- on the command line and config.json is whole.
local config_schema = require 'config.schema'
local specs = require 'config.specs'

local defaults = {}

local function number(value) return config_schema.mark('number', value, false) end

-- Type and default of a row: "number", 0.9; "number|string?", nil.
local function read_row(row)
  if type(row) == 'table' then return row[1], row[2] end
  return row, nil
end

-- An option that the script leaves out.
local function absent(types, default)
  if types:sub(-1) ~= '?' then return types == 'number' and number(default) or default end
  local name = types:gsub('%?$', '')
  return config_schema.mark(name:find('|', 1, true) and 'any' or name, nil, true)
end

-- An option that the script gives, with the type of the row where its value would narrow it.
local function present(types, value)
  if types:find('|', 1, true) then return config_schema.mark('any', value, true) end -- max_time = 3600 still takes 2h
  if types:find '^number' and type(value) == 'number' then return number(value) end -- split = 1 still takes 0.9
  return value
end

-- The numbers of an option that is a table, such as checkpoint.every.
local function table_of(given, default, path, filled)
  local made = {}
  for name, value in pairs(given or {}) do made[name] = type(value) == 'number' and number(value) or value end
  for name, value in pairs(default) do
    if made[name] == nil then
      made[name] = number(value)
      filled[#filled + 1] = path .. '.' .. name
    end
  end
  return made
end

local function fill(section, given, filled)
  local made = {}
  for key, value in pairs(type(given) == 'table' and given or {}) do made[key] = value end
  for key, row in pairs(specs[section]) do
    local types, default = read_row(row)
    local value, path = made[key], section .. '.' .. key
    if types == 'table' and (value == nil or type(value) == 'table') then
      made[key] = table_of(value, default, path, filled)
    elseif value == nil then
      made[key] = absent(types, default)
      filled[#filled + 1] = path
    else
      made[key] = present(types, value)
    end
  end
  return made
end

---The defaults with the library's options where the script left them out: in the sections it has, and in those that go
---with a training.
---@param given table
---@return table full
---@return string[] filled the paths that the script left out
function defaults.with_options(given)
  local full, filled = {}, {}
  for key, value in pairs(given) do full[key] = value end
  for _, section in ipairs(specs.training) do
    local free = full[section] == nil or type(full[section]) == 'table'
    if type(given.train) == 'table' and free then full[section] = fill(section, full[section], filled) end
  end
  for _, section in ipairs(specs.when_present) do
    if type(full[section]) == 'table' then full[section] = fill(section, full[section], filled) end
  end
  return full, filled
end

return defaults
