-- The cells of a sweep: grid x trials x seeds, axes in the order written, the last one fastest, seeds innermost.
local draw = require 'sweep.planning.draw'
local fail = require 'fail'
local pretty = require 'pretty'

local expand = {}

local MOST_CELLS = 1000000

-- An axis' values, each the overrides that it stands for.
local function choices_of(axis)
  local choices = {}
  if axis.zip then
    for i = 1, #axis.zip[1].values do
      choices[i] = {}
      for j, one in ipairs(axis.zip) do choices[i][j] = ('%s%s=%s'):format(one.op, one.path, one.values[i]) end
    end
  else
    for i, value in ipairs(axis.values) do choices[i] = { ('%s%s=%s'):format(axis.op, axis.path, value) } end
  end
  return choices
end

---Axes that are drawn, and those that are walked.
---@param axes table[] of axes.parse
---@return table[] drawn, table[] grid
function expand.split(axes)
  local drawn, grid = {}, {}
  for _, axis in ipairs(axes) do
    if axis.draw then drawn[#drawn + 1] = axis else grid[#grid + 1] = axis end
  end
  return drawn, grid
end

---The overrides that give drawn axes these values.
---@param drawn table[]
---@param values string[]
---@return string[]
function expand.settings(drawn, values)
  local settings = {}
  for i, value in ipairs(values) do settings[i] = ('%s%s=%s'):format(drawn[i].op, drawn[i].path, value) end
  return settings
end

---Overrides for each seed.
---@param spec { seeds: integer?, first_seed: integer }
---@return string[][]
function expand.seeds(spec)
  if not spec.seeds then return { {} } end
  local choices = {}
  for i = 1, spec.seeds do choices[i] = { ('train.seed=%d'):format(spec.first_seed + i - 1) } end
  return choices
end

---The settings of all cells, in order.
---@param spec { axes: table[], trials: integer?, seeds: integer?, first_seed: integer, sampler: string,
---sampler_seed: integer }
---@return string[][]
function expand.cells(spec)
  local drawn, grid = expand.split(spec.axes)
  local columns, count = {}, 1
  for i, axis in ipairs(grid) do columns[i] = choices_of(axis) end
  if #drawn > 0 then
    local trials = {}
    for k = 1, spec.trials do
      trials[k] = expand.settings(drawn, draw.trial(spec.sampler, drawn, k - 1, spec.sampler_seed))
    end
    columns[#columns + 1] = trials
  end
  columns[#columns + 1] = expand.seeds(spec)
  for _, column in ipairs(columns) do count = count * #column end
  if count > MOST_CELLS then
    fail.config('the sweep has %s cells, and at most %s are planned', pretty.count(count), pretty.count(MOST_CELLS))
  end
  local cells = {}
  for i = 1, count do
    local settings, rest = {}, i - 1
    local at = {}
    for c = #columns, 1, -1 do
      at[c] = rest % #columns[c] + 1
      rest = math.floor(rest / #columns[c])
    end
    for c, column in ipairs(columns) do
      for _, text in ipairs(column[at[c]]) do settings[#settings + 1] = text end
    end
    cells[i] = settings
  end
  return cells
end

return expand
