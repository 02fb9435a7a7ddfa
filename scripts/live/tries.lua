-- Tries that leave a training as it was: a learning rate range test (Smith, 2017), and the overfitting of one batch.
local chart = require 'plot.chart'
local fail = require 'fail'
local options = require 'options'
local pretty = require 'pretty'

local tries = {}

local RANGE = { from = { 'number', 1e-6, min = 0 }, to = { 'number', 1, min = 0 }, updates = { 'int', 100, min = 10 },
  stop_above = { 'number', 4, min = 1 }, plot = { 'boolean', true } }
local SMOOTHING = 0.95
local SKIPPED_START = 0.1 -- of the updates: the mean has hardly begun

-- Means that forget, without the bias towards their start.
local function smoothed(values)
  local means, mean = {}, 0
  for i, value in ipairs(values) do
    mean = SMOOTHING * mean + (1 - SMOOTHING) * value
    means[i] = mean / (1 - SMOOTHING ^ i)
  end
  return means
end

-- Where the smoothed loss falls fastest, per factor of the rate.
local function steepest(means)
  local best, at = 0, nil
  for i = math.max(2, math.floor(#means * SKIPPED_START)), #means - 1 do
    local slope = means[i + 1] - means[i - 1]
    if slope < best then best, at = slope, i end
  end
  return at
end

local Result = {}

function Result:__tostring()
  if #self.lr == 0 then return 'no suggestion: already the first loss is not finite' end
  if not self.suggestion then
    return ('no suggestion: the loss fell nowhere between %s and %s'):format(pretty.number(self.lr[1]),
      pretty.number(self.lr[#self.lr]))
  end
  return ('suggestion: lr %.2g, where the smoothed loss falls fastest; a hint, not a measurement (nothing was changed)')
    :format(self.suggestion)
end

---The learning rate range test: rates that grow from update to update, and the losses they give.
---@param training table
---@param given? { from: number?, to: number?, updates: integer?, stop_above: number?, plot: boolean? }
---@return table result lr, loss, smoothed, suggestion
function tries.lr_find(training, given)
  local o = options.check('fit:lr_find', given, RANGE)
  if o.from <= 0 or o.to <= o.from then
    fail.config('fit:lr_find: needs 0 < from < to, got %s and %s', pretty.number(o.from), pretty.number(o.to))
  end
  local losses = training.trainer:rehearse { updates = o.updates, from = o.from, to = o.to,
    stop_above = o.stop_above }
  local result = { lr = {}, loss = {} }
  for i, loss in ipairs(losses) do
    if loss == loss then
      result.lr[i] = o.from * (o.to / o.from) ^ ((i - 1) / (o.updates - 1))
      result.loss[i] = loss
    end
  end
  result.smoothed = smoothed(result.loss)
  local at = steepest(result.smoothed)
  result.suggestion = at and result.lr[at] or nil
  training.trainer:clear_progress()
  if o.plot and #result.loss > 1 then
    chart.print { title = 'loss over learning rate', x_log = true, x_label = 'lr',
      series = { { x = result.lr, y = result.smoothed, name = 'smoothed loss' } } }
  end
  return setmetatable(result, Result)
end

local Fitted = {}

function Fitted:__tostring()
  local first, last = self.loss[1], self.loss[#self.loss]
  local what = ('one batch: loss %.4f -> %.4f in %s (nothing was changed)'):format(first, last,
    pretty.plural(#self.loss, 'update'))
  if last ~= last then return what .. '; it is not finite: try a smaller learning rate' end
  if last < 0.1 * first then return what .. ': it can learn this batch' end
  if last < 0.5 * first then return what .. '; it learns: try more updates, fit:overfit(500)' end
  return what .. '; it hardly learns one batch: look at the learning rate (fit:lr_find()), the loss and the targets'
end

---Trains on one batch again and again: a model that cannot learn one batch by heart learns nothing.
---@param training table
---@param updates? integer 100
---@return table result loss
function tries.overfit(training, updates)
  updates = updates or 100
  if type(updates) ~= 'number' or updates < 1 or updates % 1 ~= 0 then
    fail.config('fit:overfit: expected a number of updates from 1, got %s', pretty.inline(updates))
  end
  local losses = training.trainer:rehearse { updates = updates, one_batch = true }
  training.trainer:clear_progress()
  return setmetatable({ loss = losses }, Fitted)
end

return tries
