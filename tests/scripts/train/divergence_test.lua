-- Trainings that diverge, from outside: what is named and kept, going back to a checkpoint, skipping
-- (guards G23, G36, G37, G43, G44).
local host = require 'host'
local run_metrics = require 'runs.metrics'
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'
local trainings = require 'testing.trainings'

local write = runs.write

local TEXT = write('letters.txt', texts.mat(60))

local HEAD = trainings.characters(TEXT, { data = 'allow_leak = true', train = 'epochs = 1' }) .. [[
local function cross_entropy(model, x, y)
  local logits = model(x)
  return torch.cross_entropy_loss(logits:reshape { -1, logits:size(-1) }, y:reshape { -1 })
end
]]

local function run(body, ...)
  return runs.run(HEAD .. body, ...)
end

-- A loss whose penalty is infinite once, in the seventh update. The loss is asked three times before the first one.
local PENALTY = [[
local updates, bad = 0, %s
local function loss(model, x, y)
  local task = cross_entropy(model, x, y)
  if not task.requires_grad then return task end
  updates = updates + 1
  local penalty = updates == bad and task * math.huge or task * 0.01
  local watched = { value = task:detach(), monitor = true }
  return task + penalty, y:numel(), { task = task, penalty = penalty, watched = watched, fixed = 2 }
end
]]

t.test('guard G23: an infinite penalty in a term is named with its batch, and resume does not take the dump', function()
  local ran = run(PENALTY:format '3 + 7' .. 'fit { loss = loss }', 'checkpoint.every.steps=3')
  t.equal(ran.code, 6, ran.output)
  t.contains(ran.output, "G23 nonfinite: loss term 'penalty' is inf at update 7")
  t.contains(ran.output, 'dumps/nonfinite-step-7.safetensors')
  t.equal(ran.exit.state, 'DIVERGED')
  t.is_true(host.stat(ran.folder .. '/dumps/nonfinite-step-7-state.safetensors') ~= nil)
  t.equal(#ran.lines.train, 6)
  local term = ran.lines.train[1].term
  t.near(term.penalty, term.task * 0.01, 1e-6)
  t.fields(term, { fixed = 2, watched = term.task })
  t.equal(runs.metrics(ran.folder .. '/metrics.jsonl').checkpoint[2].step, 6)
end)

t.test('guard G23: a training that diverges goes back to its newest checkpoint, with half the learning rate', function()
  local ran = run(PENALTY:format '3 + 7' .. [[
local restored
fit { loss = loss, callbacks = { { name = 'keeper', save = function() return { kept = 1 } end,
  restore = function(_, saved) restored = saved.kept end } } }
print('restored', restored)]], 'checkpoint.every.steps=5', 'train.on_divergence=rollback')
  t.equal(ran.code, 0, ran.output)
  local event = ran.lines.rollback[1]
  t.fields(event, { step = 5, from_step = 7, lr_factor = 0.5, try_n = 1 })
  t.contains(ran.output, 'back to update 5 with 0.5 times the original learning rate (rollback 1 of 3)')
  t.contains(ran.output, 'restored\t1')
  local steps = {}
  for line in run_metrics.lines(ran.folder, { train = true }) do
    steps[#steps + 1] = line.step
    t.equal(line.lr, line.step <= 5 and 1e-2 or 5e-3)
  end
  for i, step in ipairs(steps) do t.equal(step, i) end
  local fired = ran.exit.guards
  t.equal(fired[#fired].id, 'G23')
end)

t.test('going back needs checkpoints, and a factor and a number that make sense', function()
  local ran = run('fit()', 'train.on_divergence=rollback', 'checkpoint.off=true')
  t.equal(ran.code, 3, ran.output)
  t.contains(ran.output, 'checkpoint.off=true makes none')
  ran = run('fit()', 'train.rollback_factor=2')
  t.equal(ran.code, 3, ran.output)
  t.contains(ran.output, 'train.rollback_factor must be above 0 and at most 1, got 2')
  ran = run('fit()', 'guards.nonfinite=skip')
  t.equal(ran.code, 3, ran.output)
  t.contains(ran.output, "guards.nonfinite is 'skip'; known: error, skip:N")
end)

t.test('guard G23: guards.nonfinite=skip:N leaves out bad updates and counts them', function()
  local ran = run(PENALTY:format '3 + 7' .. 'fit { loss = loss }', 'guards.nonfinite=skip:2')
  t.equal(ran.code, 0, ran.output)
  t.contains(ran.output, 'the update is skipped')
  t.equal(ran.lines.train[6].updates_skipped, 0)
  t.equal(ran.lines.train[7].updates_skipped, 1)
  t.equal(ran.lines.train[8].updates_skipped, 1)
  t.equal(ran.lines.train[7].loss, nil)
  t.equal(ran.lines.train[7].nonfinite['term.penalty'], 'inf')
  t.equal(ran.lines.train[7].tokens_backprop, ran.lines.train[6].tokens_backprop)
end)

t.test('guard G44: a loss term without gradient stops before training', function()
  local ran = run [[
fit { loss = function(model, x, y)
  local task = cross_entropy(model, x, y)
  local penalty = task:detach() * 0.1
  return task + penalty, y:numel(), { penalty = penalty }
end }]]
  t.equal(ran.code, 6, ran.output)
  t.contains(ran.output, "G44 idle_term: the loss term 'penalty'")
end)

t.test('guard G36: a callback that skips every update is stopped, one that skips every third is not', function()
  local SKIP = "fit { callbacks = { { before_update = function(ctx, r) if %s then return 'skip' end end } } }"
  local ran = run(SKIP:format 'true', 'train.epochs=5')
  t.equal(ran.code, 6, ran.output)
  t.contains(ran.output, 'G36 skipped_updates: 100 of the last 100 updates were skipped at update 100')
  t.contains(ran.output, 'warning: G36 skipped_updates: 11 updates in a row')
  ran = run(SKIP:format 'r.step % 3 == 0', 'train.max_steps=30')
  t.equal(ran.code, 0, ran.output)
  t.equal(ran.lines.train[30].updates_skipped, 10)
end)

t.test('guard G37: a training that does not leave the loss of guessing stops, unless told not to look', function()
  local ran = run('fit()', 'train.epochs=10', 'optim.lr=1e-7')
  t.equal(ran.code, 6, ran.output)
  t.contains(ran.output, 'G37 no_learning: the loss is')
  ran = run('fit()', 'train.epochs=10', 'optim.lr=1e-7', 'guards.no_learning=off')
  t.equal(ran.code, 0, ran.output)
end)

t.test('guard G43: a frozen parameter that a callback moves is named', function()
  local ran = run [[
local bias
for _, p in ipairs(net:named_parameters()) do if p.name:find 'head.*bias' then bias = p.tensor end end
bias:requires_grad_(false)
fit { callbacks = { { on_step = function(_, r) if r.step == 4 then bias:add_(0.5) end end } } }]]
  t.equal(ran.code, 6, ran.output)
  t.matches(ran.output, "G43 protected: frozen parameter '[%w_.]*bias' has changed by update 5")
end)
