-- The training that train.start opens: what can be asked of it and changed between its updates. `runner attach` gives
-- the same for a training that runs, with what waits and stops in place of what trains.
local curves = require 'live.curves'
local fail = require 'fail'
local journal = require 'live.journal'
local live_options = require 'live.options'
local nearest = require 'nearest'
local pretty = require 'pretty'
local sample_prompt = require 'fit.sample_prompt'
local tries = require 'live.tries'

local Fit = {} -- methods of both
local Steered = {} -- of train.start's
local trainings = setmetatable({}, { __mode = 'k' }) -- handle -> its training

local function count_of(method, n, default)
  if n == nil then return default end
  if type(n) ~= 'number' or n < 1 or n % 1 ~= 0 then
    fail.config('fit:%s: expected a whole number from 1, got %s', method, pretty.inline(n))
  end
  return n
end

local function open_training(self, what)
  local training = trainings[self]
  if not training then fail.raise(1, 'call it with a colon: fit:%s()', what) end
  if training.fit then
    fail.raise(1, 'fit:%s: the training is over (%s, %s); train.start begins another', what, training.fit.state,
      pretty.plural(training.fit.steps, 'update'))
  end
  return training
end

-- A training between two updates: a callback, or a client of runner attach, asks in the middle of one.
local function idle_training(self, what)
  local training = open_training(self, what)
  if not training.trainer:is_idle() then
    fail.raise(1, "fit:%s: the training is in the middle of an update; a callback ends it by returning 'stop', "
      .. 'a client of runner attach by its own fit:stop()', what)
  end
  return training
end

local function training_of(self, what)
  return trainings[self] or fail.raise(1, 'call it with a colon: fit:%s()', what)
end

-- "update 10/2,000  epoch 1  loss 3.9120  lr 0.002"
local Update = {}
function Update:__tostring()
  local text = ('update %s/%s  epoch %d'):format(pretty.count(self.step), pretty.count(self.steps), self.epoch)
  if self.loss then text = ('%s  loss %.4f'):format(text, self.loss) end
  text = ('%s  lr %s'):format(text, pretty.number(self.lr))
  if self.grad_norm then text = ('%s  grad_norm %.3g'):format(text, self.grad_norm) end
  return self.tscore and self.tscore.t and ('%s  T %.4f'):format(text, self.tscore.t) or text
end

local function last_update(training)
  local record = training.trainer:last()
  return record and setmetatable(record, Update) or nil
end

-- Trains on; a training that comes to its end is closed.
local function train_on(training, updates, epochs)
  local ok, problem = pcall(training.attempt, training, function(trainer) trainer:train_until(updates, epochs) end)
  if not ok then training:close(false, problem) end
  training.trainer:clear_progress()
  if training.trainer:done() then return training:finish() end
  return nil
end

---Makes further updates; at the end of an epoch comes its eval.
---@param n? integer 1
---@return table record of the last update: step, loss, lr, grad_norm
function Steered:step(n)
  local training = idle_training(self, 'step')
  train_on(training, training.trainer:so_far().steps + count_of('step', n, 1), 0)
  return last_update(training)
end

---Trains to the end of an epoch.
---@param n? integer epochs, 1: the rest of this one
---@return table record of the epoch: train_loss, val_loss, tscore
function Steered:epoch(n)
  local training = idle_training(self, 'epoch')
  local epochs = training.trainer:so_far().epochs
  train_on(training, 0, #epochs + count_of('epoch', n, 1))
  epochs = (training.fit or training.trainer:so_far()).epochs
  return epochs[#epochs]
end

---Trains to the end of the plan. Ctrl-C pauses; fit:run() goes on.
---@return table fit as train.fit gives it, or the last update where it was paused
function Steered:run()
  local training = idle_training(self, 'run')
  return train_on(training, 0, 0) or last_update(training)
end

---Ends the training here: a checkpoint and the model are saved, the run directory is closed.
---@return table fit
function Steered:close()
  return idle_training(self, 'close'):leave 'closed by hand'
end

---Goes back to a checkpoint of this training: weights, optimiser, options, random numbers.
---@param name? string such as "step-00000100"; the newest
---@return table record checkpoint and step
function Steered:restore(name)
  local training = idle_training(self, 'restore')
  local from = training.trainer:so_far().steps
  local restored = training.trainer:go_back(name)
  training.calls:restore(restored.extra or {})
  training.run:log { kind = 'event', event = 'rollback', step = restored.step, from_step = from, lr_factor = 1 }
  journal.changed(training, ('back from update %d to %s'):format(from, restored.checkpoint))
  return { checkpoint = restored.checkpoint, step = restored.step }
end

---The val loss now, and what eval.metrics names; nothing is recorded.
---@return table record loss, metrics, targets
function Fit:eval()
  local training = training_of(self, 'eval')
  if training.plan.eval_batches == 0 then
    fail.raise(1, 'fit:eval: there is nothing to evaluate: the data have no val part, or eval.off is set')
  end
  local record = training.trainer:evaluate()
  training.trainer:clear_progress()
  return record
end

---Text drawn from the model as it is, after a prompt.
---@param prompt? string the beginning of a line of the val text
---@param given? { length: integer?, temperature: number?, top_k: integer?, top_p: number?, seed: integer? }
---@return string text with the prompt
function Fit:sample(prompt, given)
  local training = training_of(self, 'sample')
  local data = training.o.data
  if not data.native or not data.decode then fail.raise(1, 'fit:sample: data.%s is not a text', data.kind) end
  if given ~= nil and type(given) ~= 'table' then
    fail.config('fit:sample: after the prompt comes a table of options, such as { length = 200 }; got %s',
      pretty.inline(given))
  end
  prompt = prompt or sample_prompt.of(data, training.o.model, 'give fit:sample a prompt')
  local o = { prompt = prompt, length = 200, temperature = 0.8 }
  for key, value in pairs(given or {}) do o[key] = value end
  return prompt .. require('train').generate(training.o.model, data, o)
end

---Saves: with a path the weights, as safetensors, without one a checkpoint of the run.
---@param path? string
---@return string path of what was written
function Fit:save(path)
  local training = training_of(self, 'save')
  if path then
    training.o.model:save(path)
    return path
  end
  open_training(self, 'save')
  training.trainer:save_now()
  return ('%s/checkpoints/step-%08d'):format(training.run:path(), training.trainer:so_far().steps)
end

---The loss curve in the terminal, train and val, or another metric of metrics.jsonl.
---@param metric? string such as "tscore", "lr" or "grad_norm"
---@param given? { width: integer?, height: integer?, log: boolean? }
function Fit:plot(metric, given)
  curves.plot(training_of(self, 'plot'), metric, given)
end

---Smith's range test: what rates from 1e-6 to 1 do to the loss. The training stays as it was.
---@param given? { from: number?, to: number?, updates: integer?, stop_above: number?, plot: boolean? }
---@return table result lr, loss, smoothed, suggestion
function Fit:lr_find(given)
  return tries.lr_find(open_training(self, 'lr_find'), given)
end

---Trains on one batch again and again, which must bring its loss near zero. The training stays as it was.
---@param updates? integer 100
---@return table result loss
function Fit:overfit(updates)
  return tries.overfit(open_training(self, 'overfit'), updates)
end

-- Fields that are computed.
local FIELDS = {
  lr = function(training) return training.trainer:tuning().optim.lr end,
  options = function(training)
    training.option_table = training.option_table or live_options.new(training)
    return training.option_table
  end,
  model = function(training) return training.o.model end,
  data = function(training) return training.o.data end,
  last = last_update,
  step_count = function(training) return training.trainer:so_far().steps end,
  result = function(training) return training.fit or training.trainer:so_far() end,
  path = function(training) return not training.run.unrecorded and training.run:path() or nil end,
}

local function set_field(self, name, value)
  if name == 'lr' then
    live_options.set(open_training(self, 'lr'), { optim = { lr = value } })
  elseif FIELDS[name] then
    local hint = name == 'options' and '; set one: fit.options.optim.clip_norm = 1' or ''
    fail.config('fit.%s cannot be set%s', name, hint)
  else
    fail.config("fit has no '%s' to set; fit.lr and fit.options can be changed", tostring(name))
  end
end

-- "training, open: update 120 of 2,000, loss 2.3120, lr 0.002; results/prompt/..."
local function describe(self)
  local training = trainings[self]
  local so_far = training.fit or training.trainer:so_far()
  local last = last_update(training)
  local parts = { ('update %s of %s'):format(pretty.count(so_far.steps),
    pretty.count(training.trainer:planned_steps())) }
  if last and last.loss then parts[#parts + 1] = ('loss %.4f'):format(last.loss) end
  if so_far.best and so_far.best.val_loss then parts[#parts + 1] = ('best val %.4f'):format(so_far.best.val_loss) end
  parts[#parts + 1] = 'lr ' .. pretty.number(training.trainer:tuning().optim.lr)
  local state = training.fit and ('over (%s)'):format(training.fit.state) or 'open'
  return ('training, %s: %s%s'):format(state, table.concat(parts, ', '),
    not training.run.unrecorded and '; ' .. training.run:path() or '')
end

local function class_of(methods)
  local names = pretty.sorted_keys(methods)
  for name in pairs(FIELDS) do names[#names + 1] = name end
  table.sort(names)
  return { __index = function(self, name)
    if methods[name] then return methods[name] end
    if FIELDS[name] then return FIELDS[name](trainings[self]) end
    if type(name) ~= 'string' then return nil end
    return fail.raise(1, "fit has no '%s'%s", name, nearest.hint(name, names))
  end, __newindex = set_field, __tostring = describe, __complete = function() return names end }
end

local fit = {}
local classes = {} -- by their methods

---A handle on a training.
---@param training table
---@param methods table<string, function> beside those that every handle has
---@return table
function fit.handle(training, methods)
  if not classes[methods] then
    for name, method in pairs(Fit) do methods[name] = method end
    classes[methods] = class_of(methods)
  end
  local handle = setmetatable({}, classes[methods])
  trainings[handle] = training
  return handle
end

---Opens a training for train.start.
---@param given table
---@param launch table of train.start: what the start of the runner and the config mean
---@return table fit
function fit.start(given, launch)
  local training = require('fit.training').open(given, launch, true)
  local ok, problem = pcall(function()
    training:prepare()
    training.trainer:begin()
    training.trainer:phase 'paused'
  end)
  if not ok then training:close(false, problem) end
  -- Before what closes runs that nobody ended, and without holding this training until then.
  require('boot.at_exit').add(function()
    local open = require('fit.training').steered()
    if open then open:leave 'left' end
  end)
  return fit.handle(training, Steered)
end

return fit
