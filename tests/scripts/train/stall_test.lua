-- When the watchdog calls silence a stall, by a clock of the test.
local stall = require 'watchdog.stall'
local t = require 'testing'

local CONFIG = { min_s = 120, first_s = 900, on_stall = 'stop', retries = 1 }

local function progress(given)
  local made = { phase = 'train', step = 412, steps = 412, counter = 1,
    slowest_step_s = 0, slowest_eval_s = 0, slowest_save_s = 0 }
  for key, value in pairs(given) do made[key] = value end
  return made
end

local function budget(given, config)
  return { stall.budget(config or CONFIG, progress(given)) }
end

t.test('budgets are learnt from what the run takes, and never below the least', function()
  t.equal(budget { slowest_step_s = 0.1 }, { 120, 'watchdog.min_s' })
  t.equal(budget { slowest_step_s = 8 }, { 160, '20 x slowest step 8 s' })
  t.equal(budget { phase = 'eval', slowest_step_s = 8 }, { 120, 'watchdog.min_s' })
  t.equal(budget { phase = 'eval', slowest_step_s = 20 }, { 200, '10 x slowest step 20 s' })
  t.equal(budget { phase = 'eval', slowest_step_s = 1, slowest_eval_s = 30 }, { 300, '10 x slowest eval batch 30 s' })
  t.equal(budget { phase = 'save', slowest_save_s = 2 }, { 120, 'watchdog.min_s' })
  t.equal(budget { phase = 'save', slowest_save_s = 50 }, { 500, '10 x slowest save 50 s' })
end)

t.test('what was never measured has the budget of a first time', function()
  for _, case in ipairs { { phase = 'load' }, { phase = 'build' }, { phase = 'report' }, { phase = 'save' },
    { steps = 0, step = 0 }, { phase = 'eval', steps = 0 } } do
    t.equal(budget(case), { 900, 'watchdog.first_s' })
  end
  t.equal(budget { phase = 'done' }, {})
end)

t.test('one limit of the config stands in place of all', function()
  for _, phase in ipairs { 'load', 'train', 'eval', 'save' } do
    t.equal(budget({ phase = phase, slowest_step_s = 100 }, { min_s = 1, first_s = 1, stall_s = 7 }),
      { 7, 'watchdog.stall_s' })
  end
  t.equal(budget({ phase = 'done' }, { min_s = 1, first_s = 1, stall_s = 7 }), {})
end)

-- Looks every second from `from` to `to` at what `at` gives. The first verdict and its time.
local function watch(judge, from, to, at)
  for now = from, to do
    local verdict = judge:look(now, at(now))
    if verdict then return verdict, now end
  end
  return nil
end

t.test('silence beyond the budget is a stall, once it is long enough', function()
  local verdict, at = watch(stall.judge(CONFIG), 1000, 2000, function() return progress { slowest_step_s = 8 } end)
  t.fields(verdict, { budget_s = 160, waited_s = 161 })
  t.equal(at, 1161)
end)

t.test('slow but steady is not a stall', function()
  local judge = stall.judge(CONFIG)
  -- A step of 100 seconds, for a day.
  t.equal(watch(judge, 0, 86400, function(now)
    return progress { counter = math.floor(now / 100), slowest_step_s = 100 }
  end), nil)
  -- Steps that become slower all the time, each ten times the one before.
  local took, count, since = 1, 1, 86401
  t.equal(watch(judge, 86401, 86401 + 20000, function(now)
    if now - since >= took and took < 10000 then since, took, count = now, took * 10, count + 1 end
    return progress { counter = 1000 + count, slowest_step_s = took / 10 }
  end), nil)
end)

t.test('a process that was stopped and goes on has its whole budget again', function()
  local judge = stall.judge(CONFIG)
  t.equal(watch(judge, 0, 119, function() return progress {} end), nil)
  t.equal(watch(judge, 120, 239, function() return progress { counter = 2 } end), nil)
end)

t.test('the watchdog\'s own sleep is nobody\'s silence', function()
  local judge = stall.judge(CONFIG)
  t.equal(judge:look(0, progress {}), nil)
  t.equal(judge:look(1, progress {}), nil)
  t.equal(judge:look(5000, progress {}), nil) -- a laptop that was closed
  t.equal(judge:look(5030, progress {}), nil)
  t.is_true(watch(judge, 5031, 5300, function() return progress {} end) ~= nil)
end)

t.test('after a reset the silence begins anew', function()
  local judge = stall.judge(CONFIG)
  watch(judge, 0, 120, function() return progress {} end)
  judge:reset()
  t.equal(watch(judge, 121, 240, function() return progress {} end), nil)
end)

t.test('looks are as frequent as the shortest budget needs', function()
  t.equal(stall.period { min_s = 120, first_s = 900 }, 1)
  t.equal(stall.period { min_s = 2, first_s = 900 }, 0.1)
  t.equal(stall.period { min_s = 120, first_s = 900, stall_s = 0.5 }, 0.05)
end)

t.test('the message says what, where, which limit and where to look', function()
  local verdict = { waited_s = 34, budget_s = 17, why = '20 x slowest step 0.85 s' }
  local message = stall.message(verdict, progress {}, 'r/dumps/stacks-1.txt')
  t.contains(message, 'G11 stall: no progress for 34 s in train at step 412, budget 17 s '
    .. '(20 x slowest step 0.85 s); stacks in r/dumps/stacks-1.txt; ')
  t.contains(stall.message({ waited_s = 1.21, budget_s = 1, why = 'x' }, progress {}), 'no progress for 1.2 s in train')
end)

t.test('a run is resumed as often as its config says', function()
  local config = { on_stall = 'resume', retries = 2 }
  local resumed = { kind = 'event', event = 'guard', id = 'G11', action = 'resume' }
  t.equal(stall.action(CONFIG, {}), 'stop')
  t.equal(stall.action(config, {}), 'resume')
  t.equal(stall.action(config, { resumed, { event = 'guard', id = 'G05' } }), 'resume')
  t.equal(stall.action(config, { resumed, resumed }), 'stop')
end)
