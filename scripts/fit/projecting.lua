-- `runner project`: the first train.fit of a script makes a few updates, which are timed, in place of its training;
-- then an eval, a checkpoint and going on from it are timed, and the script is left.
local callbacks = require 'fit.callbacks'
local experiment = require 'experiment'
local fail = require 'fail'
local fit_run = require 'fit.run'
local host = require 'host'
local limits = require 'fit.limits'
local native = require 'lanthorn'
local pretty = require 'pretty'
local run_metrics = require 'runs.metrics'
local waiting = require 'projection.waiting'

local projecting = {}

local WARM_UP = 3       -- updates before the timed ones
local LEAST_UPDATES = 5 -- that are timed, however many micro-steps one has: below, they say nothing of their spread
local INTERRUPTED = 130 -- the exit code of SIGINT
local FEW_BATCHES, EVAL_S = 10, 30 -- an eval that takes longer, judged by a few batches, is not made whole

-- Updates with so many micro-steps.
local function timed_updates(o, micro_steps)
  local accumulate = math.min(o.options.accumulate, o.data.train:count())
  return math.max(math.ceil(micro_steps / accumulate), LEAST_UPDATES), accumulate
end

---Makes the plan of a training long enough to be timed, and lets nothing but the timing end it.
---@param o table of parts.read
---@param asked table of the command
---@param in_parts boolean? it is a train.start
function projecting.prepare(o, asked, in_parts)
  if in_parts then fail.config 'train.start is steered by hand, so there is no plan to project; project a train.fit' end
  if asked.at and not asked.length_key then
    fail.config("--at needs a config with one of %s, and this script's first training has none",
      table.concat(asked.length_keys, ' or '))
  end
  local updates, accumulate = timed_updates(o, asked.steps)
  local needed, batches = WARM_UP + updates, o.data.train:count()
  if native.train.planned_updates(require('config.specs').native_part('train', o.options), batches) < needed then
    if o.options.max_steps > 0 then o.options.max_steps = math.max(o.options.max_steps, needed) end
    o.options.epochs = math.max(o.options.epochs, math.ceil(needed / math.ceil(batches / accumulate)))
  end
  o.options.max_time, o.options.accept_eta, o.watchdog.off = nil, true, true
end

-- The records of the updates before those that count, and of those.
local function time_updates(training, updates)
  local trainer, warm_up, timed = training.trainer, {}, {}
  local share_waiting
  trainer:on_step(1, function(record)
    local into = #warm_up < WARM_UP and warm_up or timed
    into[#into + 1] = record
    if #warm_up == WARM_UP and #timed == 0 then share_waiting = waiting.clock() end
  end)
  trainer:begin()
  trainer:train_until(WARM_UP + updates, 0)
  local asked_to_stop = trainer:stop_requested()
  if asked_to_stop then fail.raise(asked_to_stop.code, 'interrupted by %s', asked_to_stop.name) end
  -- Ctrl-C only pauses a training in parts.
  if #timed < updates and not trainer:done() then fail.raise(INTERRUPTED, 'interrupted by SIGINT') end
  if #timed < LEAST_UPDATES then
    fail.config('the training ends after %s; a projection needs %d at least',
      pretty.plural(#warm_up + #timed, 'update'), WARM_UP + LEAST_UPDATES)
  end
  return warm_up, timed, share_waiting()
end

-- Seconds of a whole eval, made whole where that does not take long.
local function time_eval(training)
  local trainer, all = training.trainer, training.plan.eval_batches
  if all == 0 then return nil end
  local function seconds(batches)
    trainer:tune { eval = { val_cap = batches } }
    local began = host.now()
    trainer:evaluate()
    return host.now() - began
  end
  local few = math.min(FEW_BATCHES, all)
  local took, made = seconds(few), few
  if few < all and took / few * all <= EVAL_S then took, made = seconds(all), all end
  return { batches = all, timed_batches = made, batch_s = took / made, s = took / made * all }
end

-- What a checkpoint takes, and going on from it.
local function time_checkpoint(training)
  if training.o.checkpoint.off or training.run.unrecorded then return nil end
  training.trainer:save_now()
  local saved
  for line in run_metrics.lines(training.run:path(), { event = true }) do
    if line.event == 'checkpoint' then saved = line end
  end
  if not saved then return nil end -- the disk refused it, as was said
  local began = host.now()
  training.trainer:go_back()
  return { s = (saved.snapshot_ms + saved.save_ms) / 1e3, size_mb = saved.size_mb, restore_s = host.now() - began }
end

-- Real tokens of the rows in the timed batches: mean, longest, and how wide the batches were. nil for data without
-- tokens, and for those whose batches cannot be asked for twice.
local function lengths(data, timed)
  if data.unmanaged then return nil end
  local rows, tokens, longest, widest = 0, 0, 0, 0
  for _, record in ipairs(timed) do
    for i = record.batch - record.micro_batches, record.batch - 1 do
      local x = data.train:get(i, record.epoch)
      local real = data:real_tokens(x)
      if not real then return nil end
      for _, length in ipairs(real) do
        rows, tokens, longest = rows + 1, tokens + length, math.max(longest, length)
      end
      widest = math.max(widest, x:size(x:dim() - 1))
    end
  end
  return { rows = rows, mean = tokens / rows, longest = longest, widest = widest }
end

-- Callbacks that act where nothing is timed: at the ends of epochs, and of the training.
local function unseen(list)
  local labels = {}
  for i, callback in ipairs(list) do
    if callback.on_epoch or callback.on_end then labels[#labels + 1] = callbacks.label(callback, i) end
  end
  return labels
end

local function measure(training, asked)
  training:prepare()
  local o = training.o
  local startup_s = host.now() - (o.launch.started or o.began)
  local updates, accumulate = timed_updates(o, asked.steps)
  local warm_up, timed, share_waiting = time_updates(training, updates)
  return { startup_s = startup_s, warm_up = warm_up, timed = timed, waiting = share_waiting,
    eval = time_eval(training), checkpoint = time_checkpoint(training), lengths = lengths(o.data, timed),
    batches = o.data.train:count(), accumulate = accumulate, every = o.checkpoint.every,
    tscore_every = o.tscore.every, unseen = unseen(o.callback_list), device = training.plan.device,
    threads = training.plan.threads, name = o.launch.name }
end

---In place of a training: times its parts into `asked.measured`, and leaves the script.
---@param training table open
---@param asked table of the command
function projecting.take(training, asked)
  local ok, measured = pcall(measure, training, asked)
  if not ok then training:close(false, measured) end -- raises
  training.trainer:clear_progress()
  limits.stop(nil, training.trainer, nil)
  fit_run.close(training.run, { state = 'INTERRUPTED', reason = 'timed for a projection', at_once = true })
  asked.measured = measured
  experiment.leave()
end

return projecting
