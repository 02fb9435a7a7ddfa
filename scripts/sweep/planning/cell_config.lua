-- The config of a cell: that of the experiment with the cell's settings applied. Its id names the config, so that the
-- same cell has the same name in every sweep and on every machine.
local host = require 'host'
local overrides = require 'config.overrides'
local pretty = require 'pretty'

local cell_config = {}
cell_config.__index = cell_config

local ID_DIGITS = 12

-- A value as text that differs whenever the value does.
local function canonical(value)
  if type(value) == 'table' then
    local parts = {}
    for i, key in ipairs(pretty.sorted_keys(value)) do parts[i] = ('%s=%s'):format(key, canonical(value[key])) end
    return '{' .. table.concat(parts, ',') .. '}'
  end
  if type(value) == 'number' then return pretty.number(value) end
  return type(value) == 'string' and ('%q'):format(value) or tostring(value)
end

local function copy(value)
  if type(value) ~= 'table' then return value end
  local made = {}
  for key, item in pairs(value) do made[key] = copy(item) end
  return made
end

---@param tree table the config of the experiment (config/tree.lua), with what is set for every cell
function cell_config.new(tree)
  local self = setmetatable({ tree = tree, texts = {}, parsed = {}, names = pretty.sorted_keys(tree.values) },
    cell_config)
  for _, name in ipairs(self.names) do self.texts[name] = canonical(tree.values[name]) end
  return self
end

function cell_config:parse(text)
  local change = self.parsed[text]
  if not change then
    change = overrides.parse(text)
    self.parsed[text] = change
  end
  return change
end

---The config with these settings, and its id. Raises (exit 3) for a key that there is not, or a value that does not
---fit it.
---@param settings string[] overrides
---@return table values, string id
function cell_config:apply(settings)
  local base, touched, plain = self.tree, {}, true
  for _, text in ipairs(settings) do
    local change = self:parse(text)
    touched[change.keys[1]] = true
    plain = plain and change.op == '='
  end
  local values = {}
  for key, value in pairs(base.values) do values[key] = touched[key] and copy(value) or value end
  -- Only adding and removing keys change the schema.
  local tree = setmetatable({ values = values, origin = {}, schema = plain and base.schema or copy(base.schema) },
    getmetatable(base))
  for _, text in ipairs(settings) do tree:apply(self:parse(text), 'cell') end
  local parts = {}
  local names = plain and self.names or pretty.sorted_keys(values)
  for i, name in ipairs(names) do
    parts[i] = ('%s=%s\n'):format(name, touched[name] and canonical(values[name]) or self.texts[name])
  end
  return values, host.sha256(table.concat(parts)):sub(1, ID_DIGITS)
end

return cell_config
