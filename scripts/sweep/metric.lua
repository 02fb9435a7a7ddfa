-- The number that a sweep is about: that of --metric; without one the val loss, or the training loss where no cell has
-- a val loss.
local cells = require 'sweep.cells'
local record = require 'compare.record'

local metric = {}

local function value_of(exit, text)
  local name, mode = record.metric_of(text)
  return cells.metric(exit, name, mode)
end

---The values of cells, all of the same metric.
---@param exits table<any, table> exit.json of cells by any key; those without a number have no value
---@param asked string? of --metric
---@return table<any, number> values, string name
function metric.values(exits, asked)
  local values
  for _, text in ipairs(asked and { asked } or record.DEFAULT_METRICS) do
    values = {}
    for key, exit in pairs(exits) do values[key] = value_of(exit, text) end
    if next(values) then return values, text end
  end
  return values, asked or record.DEFAULT_METRICS[1]
end

---The value at the end of an epoch; nil when it is not finite.
---@param epoch table the record that callbacks get
---@param asked string?
---@return number?
function metric.of_epoch(epoch, asked)
  local value
  for _, text in ipairs(asked and { asked } or record.DEFAULT_METRICS) do
    local name = record.metric_of(text)
    value = value or epoch[name] or (epoch.metrics or {})[name]
  end
  local is_finite = type(value) == 'number' and value == value and math.abs(value) ~= math.huge
  return is_finite and value or nil
end

return metric
