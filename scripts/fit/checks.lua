-- What train.fit checks before the first update, in a fraction of a second: that val is not in train (G24), that the
-- first loss is that of guessing (G05), that there is something to learn (G06), that the device computes at a
-- plausible speed (G02), that callbacks can reach their thresholds (G34).
local callback_threshold = require 'guards.callback_threshold'
local console = require 'console'
local guard_events = require 'guards.events'
local guards = require 'guards.registry'
local native = require 'lanthorn'
local torch = require 'torch'

local checks = {}

local LEAST_CPU, LEAST_DEVICE = 5e9, 1e12 -- FLOP per second: of a CPU thread, of any other device
local LEAK_LIMIT = 0.01                   -- share of val's blocks
local FLOOR_MARGIN = 0.01                 -- nats

---FLOP per second of a device; a field, so that a test can put another in its place.
---@param device string
---@param enough number measured for longer where the rate is below
---@return number
function checks.measure_gemm(device, enough)
  return native.diagnostics.training_gemm(device, enough)
end

---Stops for a CUDA device that is far too slow, warns for a CPU.
---@param device string
---@param level string of guards.device_speed
---@return number flops per second
function checks.check_speed(device, level)
  local threads = torch.get_num_threads()
  local is_cpu = device == 'cpu'
  local least = is_cpu and LEAST_CPU * threads or LEAST_DEVICE
  local rate = checks.measure_gemm(device, least)
  if rate < least then
    local where = is_cpu and ('%d thread%s of the CPU'):format(threads, threads == 1 and '' or 's') or device
    guard_events.fired('G02', is_cpu and level == 'error' and 'warn' or level,
      ('float32 products run at %.3g GFLOP/s on %s, expected at least %.3g; is the machine busy or '
      .. 'throttled, or are there more threads than cores? `runner doctor` tells; to accept: '
      .. 'guards.device_speed=off'):format(rate / 1e9, where, least / 1e9),
      { value = rate / 1e9, limit = least / 1e9 })
  end
  return rate
end

local rates = {} -- by device: a process measures each once

---The speed of the device, once a process.
---@param device string
---@param level string
---@return number? gflops
function checks.speed(device, level)
  if level == 'off' then return nil end
  rates[device] = rates[device] or checks.check_speed(device, level)
  return rates[device] / 1e9
end

-- What guessing costs.
local function ln_vocabulary(data)
  return data.guess_nats or data.vocab_size and math.log(data.vocab_size)
end

-- What G05 compares the first loss with.
local function initial_loss(o)
  if o.guards.init_loss == 'off' then return {} end
  if o.options.expect_loss then return { expected = o.options.expect_loss } end
  return { expected = ln_vocabulary(o.data) }
end

---The first batch, timed, and its loss compared (G05). Under guards.init_loss=warn a start that is refused is told
---and recorded, and training goes on.
---@param o table of train.fit
---@param trainer table
---@param run table
---@return table measured of the trainer
function checks.measure(o, trainer, run)
  local wanted = initial_loss(o)
  if o.guards.init_loss ~= 'warn' then return trainer:measure(wanted) end
  local ok, result = pcall(trainer.measure, trainer, wanted)
  if ok then return result end
  local guard = guards.speaker(tostring(result))
  if not guard or guard.id ~= 'G05' then error(result, 0) end
  guard_events.warned(run, tostring(result))
  return trainer:measure {}
end

-- Stops for, or tells of, what one text's val has of its train. `of`: whose val; `option` accepts it.
local function judge_leak(leak, of, unit, option)
  if leak.shared == 0 then return end
  local share = leak.shared / leak.blocks
  local found = ('%d of %d blocks of %d %s of %s also occur in train (%.3g %%%s)'):format(leak.shared, leak.blocks,
    leak.block, unit, of, 100 * share,
    leak.searched < 1 and ('; %.0f %% of the pairs were looked at'):format(100 * leak.searched) or '')
  if share > LEAK_LIMIT then
    guards.stop('G24', '%s, at most %g %% is accepted: a val loss on text seen in training says nothing; does the '
      .. 'corpus repeat itself? to accept: %s=true', found, 100 * LEAK_LIMIT, option)
  end
  console.note(('%-10s%s'):format('', found))
end

---Stops when more than 1 % of the blocks of val occur in train; a smaller share is told.
---@param data DataSet
---@param evaluates boolean whether val is used
function checks.leak(data, evaluates)
  local option = data.leak_option
  if not option or not evaluates then return end
  if data.options.allow_leak then return guard_events.switched_off('G24', option .. '=true') end
  for _, leak in ipairs(data:leaks()) do judge_leak(leak.found, leak.of, data.token_word, option) end
end

---Refuses callbacks whose metric of T-Score cannot come to their threshold.
---@param list table[] callbacks
---@param samples integer in an update
---@param level string of guards.reachable
function checks.reachable(list, samples, level)
  for _, callback in ipairs(list) do
    local problem = callback_threshold.problem(callback, samples)
    if problem then guard_events.fired('G34', level, problem .. '; to accept: guards.reachable=off') end
  end
end

-- Why there is nothing to learn in the data; nil when there is.
local function nothing_to_learn(data, ln_v)
  if data.learnable == false then return 'the data is declared not learnable' end
  if data.floor_nats and ln_v and data.floor_nats >= ln_v - FLOOR_MARGIN then
    return ('the floor of the data, %.4g nats, is that of guessing (ln %d)'):format(data.floor_nats, data.vocab_size)
  end
  return nil
end

---Warns about data without anything to learn: its results claim nothing about quality.
---@param data DataSet
---@param declared boolean? what the config says of it
---@return boolean learnable
function checks.learnable(data, declared)
  if data.learnable or declared then
    guard_events.switched_off('G06', 'data.learnable=true')
    return true
  end
  local reason = nothing_to_learn(data, ln_vocabulary(data))
  if reason then
    guard_events.fired('G06', 'warn',
      reason .. ': no loss of this run is a claim about quality; to accept: data.learnable=true', { no_claim = true })
  end
  return reason == nil
end

local LEARNT = 1000 -- updates after which, or after a whole epoch, a training may be judged

---Warns when the training ended above what guessing evenly gives, unless it was cut too short to have learnt.
---@param o table of train.fit
---@param fit table
---@param run table
function checks.outcome(o, fit, run)
  local last, ln_v = fit.epochs[#fit.epochs], ln_vocabulary(o.data)
  if not last or not ln_v or o.options.expect_loss then return end
  if fit.steps < math.min(LEARNT, math.ceil(o.data.train:count() / math.max(o.options.accumulate, 1))) then return end
  local split = last.val_loss and 'val' or 'train'
  local loss = last.val_loss or last.train_loss
  if not loss or loss ~= loss or loss <= ln_v then return end
  guard_events.fired('G06', 'warn',
    ('worse than guessing: the %s loss ended at %.4g nats, guessing evenly gives %.4g (ln %d); is the learning rate '
    .. 'too high?'):format(split, loss, ln_v, o.data.vocab_size),
    { value = loss, limit = ln_v, step = fit.steps, run = run })
end

return checks
