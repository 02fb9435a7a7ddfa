-- What callbacks may not do: declare updates that change nothing (G18), and take more time than a training can spare
-- (G38).
local callback_cost = require 'guards.callback_cost'
local callbacks = require 'fit.callbacks'
local fail = require 'fail'
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'
local trainings = require 'testing.trainings'

local TEXT = runs.write('letters.txt', texts.mat(60))

local HEAD = trainings.characters(TEXT, { data = 'allow_leak = true', train = 'max_steps = 6' }) .. [[
local function scale(name, factor)
  for _, p in ipairs(net:named_parameters()) do
    if p.name == name then torch.no_grad(function() p.tensor:mul_(factor) end) end
  end
end
local function fit_with(callback) return fit { callbacks = { callback } } end
]]

local function run(body, ...)
  return runs.run(HEAD .. body, ...)
end

t.test('guard G18: a callback whose key matches no parameter is stopped before training, with both lists', function()
  local ran = run [[fit_with { name = 'sleep', updates = true, keys = { 'head%.weight', 'head.wieght' },
    on_step = function() scale('head.wieght', 0.9) end }]]
  t.equal(ran.code, 6, ran.output)
  t.equal(ran.folder, nil)
  t.contains(ran.output, "G18 noop_phase: callback 'sleep' declares to update weights, but its key 'head.wieght' "
    .. 'matches no parameter; nearest: head.weight; keys that it means to touch: head%.weight, head.wieght; '
    .. 'parameters of the model: embed.weight')
end)

t.test('guard G18: a callback that declares updates and changes no weight is stopped at that call', function()
  local ran = run [[fit_with { name = 'sleep', updates = true, every = 2,
    on_step = function(_, r) scale(r.step < 4 and 'head.weight' or 'head.wieght', 0.99) end }]]
  t.equal(ran.code, 6, ran.output)
  t.contains(ran.output, "G18 noop_phase: callback 'sleep' declares to update weights, but its call at update 4 "
    .. 'changed none of them; keys that it means to touch: all; parameters of the model: embed.weight')
  t.equal(runs.guard(ran, 'G18').level, 'error')
  t.equal(#ran.lines.callback_update, 1)
end)

t.test('guard G18: a change of other parameters than those it means to touch is not an update', function()
  local ran = run [[
fit_with { updates = true, keys = { '^embed' }, on_step = function() scale('head.weight', 0.99) end }]]
  t.equal(ran.code, 6, ran.output)
  t.contains(ran.output, 'callback 1 declares to update weights, but its call at update 1 changed none of them; '
    .. 'keys that it means to touch: ^embed;')
end)

t.test('guard G18: the norm of a step that was made is logged, and may_idle accepts one that was not', function()
  local ran = run [[fit_with { name = 'shift', updates = true, keys = { 'head.bias' }, every = 3,
    on_step = function() for _, p in ipairs(net:named_parameters()) do
      if p.name == 'head.bias' then torch.no_grad(function() p.tensor:add_(0.5) end) end
    end end }]]
  t.equal(ran.code, 0, ran.output)
  local updates, count = ran.lines.callback_update, tonumber(ran.output:match 'vocabulary (%d+)')
  t.equal(#updates, 2)
  t.fields(updates[1], { step = 3, callback = 'shift' })
  t.equal(updates[2].step, 6)
  t.near(updates[1].step_norm, 0.5 * math.sqrt(count), 1e-5)
  ran = run [[
fit_with { name = 'idle', updates = true, may_idle = true, keys = { 'no.such' }, on_step = function() end }]]
  t.equal(ran.code, 0, ran.output)
  t.equal(runs.guard(ran, 'G18').level, 'off')
  t.equal(ran.lines.callback_update[1].step_norm, 0)
end)

t.test('a callback that declares updates needs a call that makes them', function()
  t.error_matches(function() callbacks.resolve { updates = true, on_start = function() end } end,
    'updates = true needs an on_step')
  t.error_matches(function() callbacks.resolve { over_budget = 'eror', on_step = print } end,
    "over_budget is 'eror'; nearest: error")
end)

-- Calls a callback that costs `cost` seconds at every `every`-th of `steps` updates of one second or `update` seconds,
-- by a clock of our own. Gives the warnings, or raises.
local function simulate(callback, cost, every, steps, level, update)
  local now, warned = 0, {}
  local clock, fired = callback_cost.clock, require('guards.events').warned
  callback_cost.clock = function() return now end
  require('guards.events').warned = function(_, message, more)
    warned[#warned + 1] = { message = message, step = more.step }
  end
  local budget = callback_cost.new(level or 'warn', nil)
  local call = budget:timed(callback, "callback 'probe'", function(record)
    now = now + (type(cost) == 'function' and cost(record.step) or cost)
    return 'stop', 'reason'
  end)
  local ok, problem = pcall(function()
    for step = 1, steps do
      now = now + (update or 1)
      if step % every == 0 then t.equal({ call { step = step } }, { 'stop', 'reason' }) end
    end
  end)
  callback_cost.clock, require('guards.events').warned = clock, fired
  if not ok then error(problem, 0) end
  return warned
end

local function on_step() end

t.test('guard G38: a callback above 5 percent of 50 updates is told once, with the interval that fits', function()
  local warned = simulate({ on_step = on_step }, 0.5, 1, 400)
  t.equal(#warned, 1)
  t.equal(warned[1].step, 51)
  t.contains(warned[1].message, "G38 overhead: callback 'probe' takes 50 % of the training time (500 ms a call, "
    .. '1e+03 ms an update, over 50 updates), expected at most 5 %; every = 10 would fit; '
    .. 'to accept: budget_pct = 50 in its table, or guards.overhead=off')
  t.equal(#simulate({ on_step = on_step }, 0.5, 10, 400), 0)
  t.equal(#simulate({ on_step = on_step }, 0.049, 1, 400), 0)
end)

t.test('guard G38: a callback that costs next to nothing is told of when it has come to a second in all', function()
  local warned = simulate({ on_step = on_step }, 0.0041, 1, 400, 'warn', 0.01)
  t.equal(#warned, 1)
  t.equal(warned[1].step, 245)
end)

t.test('guard G38: rare calls are judged over whole intervals, and the first one warms up', function()
  t.equal(#simulate({ on_step = on_step }, 4, 100, 1000), 0)
  local warned = simulate({ on_epoch = on_step }, 6, 100, 1000)
  t.equal(warned[1].step, 200)
  t.contains(warned[1].message, 'one call in 120 updates would fit')
  t.equal(#simulate({ on_step = on_step }, function(step) return step == 1 and 100 or 0 end, 1, 200), 0)
end)

t.test('guard G38: a callback may have a budget of its own, be silent, or stop', function()
  t.equal(#simulate({ on_step = on_step, budget_pct = 60 }, 0.5, 1, 200), 0)
  t.equal(#simulate({ on_step = on_step, over_budget = 'off' }, 0.5, 1, 200), 0)
  t.equal(#simulate({ on_step = on_step }, 0.5, 1, 200, 'off'), 0)
  t.equal(#simulate({ on_step = on_step, over_budget = 'warn' }, 0.5, 1, 200, 'error'), 1)
  for _, given in ipairs { { {}, 'error' }, { { over_budget = 'error' }, 'warn' } } do
    given[1].on_step = on_step
    local err = t.error_matches(function() simulate(given[1], 0.5, 1, 200, given[2]) end, 'G38 overhead: ')
    t.equal(fail.code_of(err), 7)
  end
end)

t.test('guard G38: the calls of a training are timed', function()
  local ran = run([[local now = 0
require('guards.callback_cost').clock = function() now = now + 1 return now end
fit_with { name = 'slow', on_step = function() end }]], 'train.max_steps=60', 'train.epochs=9')
  t.equal(ran.code, 0, ran.output)
  t.equal(runs.guard(ran, 'G38').level, 'warn')
  t.equal(ran.lines.guard[#ran.lines.guard].step, 51)
  t.contains(ran.output, "warning: G38 overhead: callback 'slow' takes 100 % of the training time")
end)
