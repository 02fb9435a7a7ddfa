-- fit:plot(): curves of a training out of its metrics.jsonl.
local chart = require 'plot.chart'
local fail = require 'fail'
local nearest = require 'nearest'
local options = require 'options'
local pretty = require 'pretty'
local run_metrics = require 'runs.metrics'

local curves = {}

local PLOT = { width = 'int?', height = 'int?', log = { 'boolean', false } }

local function add(series, line, value)
  if type(value) == 'number' then
    series.x[#series.x + 1], series.y[#series.y + 1] = line.step, value
  end
end

-- Every number that lines have, for the hint.
local function names_of(path)
  local names = {}
  for line in run_metrics.lines(path) do
    for key, value in pairs(line) do
      if type(value) == 'number' and key ~= 't' and key ~= 'step' then names[key] = true end
    end
  end
  return pretty.sorted_keys(names)
end

---@param training table
---@param metric? string
---@param given? table
function curves.plot(training, metric, given)
  local o = options.check('fit:plot', given, PLOT)
  if training.run.unrecorded then
    fail.raise(1, 'fit:plot: a training with run = false keeps no metrics; leave it out to have a run directory')
  end
  metric = metric or 'loss'
  local path = training.run:path()
  local train, val = { x = {}, y = {}, name = metric == 'loss' and 'train' or metric },
    { x = {}, y = {}, name = 'val' }
  for line in run_metrics.lines(path) do
    if line.kind == 'eval' then
      add(val, line, line[metric])
    else
      add(train, line, line[metric])
    end
  end
  if #train.x + #val.x == 0 then
    if training.trainer:so_far().steps == 0 then fail.raise(1, 'fit:plot: no update has been made yet') end
    fail.config("fit:plot: no line has a number '%s'%s", metric, nearest.hint(metric, names_of(path)))
  end
  chart.print { title = metric, series = { train, val }, x_label = 'update', y_log = o.log, width = o.width,
    height = o.height }
end

return curves
