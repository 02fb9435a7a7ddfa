-- fit:plot(): curves of a training out of its metrics.jsonl.
local chart = require 'plot.chart'
local fail = require 'fail'
local host = require 'host'
local nearest = require 'nearest'
local options = require 'options'
local pretty = require 'pretty'
local run_metrics = require 'runs.metrics'

local curves = {}

local PLOT = { width = 'int?', height = 'int?', log = { 'boolean', false } }

local LOOKED_AT = 1000 -- lines, for the hint

-- The numbers that lines have.
local function names_of(path)
  local names, count = {}, 0
  for line in run_metrics.lines(path) do
    for key, value in pairs(line) do
      if type(value) == 'number' and key ~= 't' and key ~= 'step' then names[key] = true end
    end
    count = count + 1
    if count == LOOKED_AT then break end
  end
  return pretty.sorted_keys(names)
end

-- Points of a metric, of evals and of other lines. A million lines are not decoded, they are looked at as text: a
-- client of runner attach has the training wait meanwhile.
local function points_of(path, metric)
  local train, val = { x = {}, y = {} }, { x = {}, y = {} }
  local wanted = '"' .. metric:gsub('%p', '%%%0') .. '":([^,}]+)'
  for text in host.metrics_lines(path .. '/metrics.jsonl') do
    local flat = text:sub(2):gsub('%b{}', '')
    local value, step = tonumber(flat:match(wanted)), tonumber(flat:match '"step":(%d+)')
    if value and step then
      local series = flat:find('"kind":"eval"', 1, true) and val or train
      series.x[#series.x + 1], series.y[#series.y + 1] = step, value
    end
  end
  return train, val
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
  local train, val = points_of(path, metric)
  train.name, val.name = metric == 'loss' and 'train' or metric, 'val'
  if #train.x + #val.x == 0 then
    if training.trainer:so_far().steps == 0 then fail.raise(1, 'fit:plot: no update has been made yet') end
    fail.config("fit:plot: no line has a number '%s'%s", metric, nearest.hint(metric, names_of(path)))
  end
  chart.print { title = metric, series = { train, val }, x_label = 'update', y_log = o.log, width = o.width,
    height = o.height }
end

return curves
