-- The guards around a training: levels, records, and those that look at data, machine and seed. A test's name has the guard's id.
local fail = require 'fail'
local guards = require 'guards'
local runs = require 'testing.runs'
local specs = require 'specs'
local t = require 'testing'

local json, root, write = runs.json, runs.root, runs.write

-- A text without a repetition of 64 characters: 45 train and 5 val batches an epoch.
local drawn, letters = 7, {}
for i = 1, 1800 do
  drawn = (drawn * 16807) % 2147483647
  letters[i] = ('abcdefgh \n'):sub(drawn % 10 + 1, drawn % 10 + 1)
end
local TEXT = write('letters.txt', table.concat(letters))

local HEAD = ([[
local experiment, data, models, train, torch, nn = require 'experiment', require 'data', require 'models', require 'train',
  require 'torch', require 'nn'
local cfg = experiment.config {
  data = { file = %q, batch = 4, seq = 8, stride = 8 }, model = { hidden = 16 }, optim = { lr = 1e-2 }, train = { epochs = 1, seed = 1 },
}
local text = data.text(cfg.data)
local net = models.char_rnn { vocab = text.vocab_size, embed = 8, hidden = cfg.model.hidden, layers = 1 }
local function fit(more)
  local parts = { model = net, data = text, optim = cfg.optim, options = cfg.train }
  for key, value in pairs(more or {}) do parts[key] = value end
  return train.fit(parts)
end
]]):format(TEXT)

local function run(body, ...)
  return runs.run(HEAD .. body, ...)
end

local function guard_of(ran, id)
  for _, guard in ipairs(json(ran.folder .. '/exit.json').guards) do
    if guard.id == id then return guard end
  end
  return nil
end

t.test('every guard has an id, a name of its own, a level and an exit code', function()
  local seen = {}
  for i, row in ipairs(guards.rows) do
    t.equal(row.id, ('G%02d'):format(i))
    t.is_false(seen[row.name], row.name)
    seen[row.name] = true
    t.is_true(row.level == 'error' or row.level == 'warn')
    t.is_true(row.code >= 0 and row.code <= 9)
  end
  t.equal({ #guards.rows, specs.guards.init_loss[2], specs.guards.slow_step[2] }, { 46, 'error', 'warn' })
end)

t.test('an unknown guard gives the nearest', function()
  local err = t.error_matches(function() guards.find 'init_los' end, "there is no guard 'init_los'; nearest: init_loss")
  t.equal(fail.code_of(err), 3)
  local ran = run('fit()', 'guards.memory_flor=off')
  t.equal(ran.code, 3)
  t.contains(ran.output, "unknown key 'guards.memory_flor'; nearest: guards.memory_floor")
  ran = run('fit()', 'guards.init_loss=loud')
  t.equal({ ran.code, ran.folder }, { 3, nil })
  t.contains(ran.output, "option 'init_loss' is 'loud'; known: error, off, warn")
end)

t.test('a message tells which guard speaks, and only a guard does', function()
  local row, said = guards.speaker 'x.lua:3: G05 init_loss: first loss 4'
  t.equal({ row.name, said }, { 'init_loss', 'G05 init_loss: first loss 4' })
  t.equal(guards.speaker 'boom G05 other: no', nil)
  t.equal(guards.speaker 'G99 nothing: no', nil)
end)

t.test('a guard that is off is an event, an entry of exit.json and a badge', function()
  local ran = run('fit()', 'guards.init_loss=off', 'guards.no_learning=off')
  t.equal(ran.code, 0)
  t.equal(guard_of(ran, 'G05').level, 'off')
  t.equal({ #ran.lines.guard, ran.lines.guard[1].id, ran.lines.guard[1].step }, { 2, 'G05', 0 })
  t.contains(ran.lines.guard[1].message, 'G05 init_loss: switched off by guards.init_loss=off')
  local shown = t.shell(('%s show %s'):format(runs.RUNNER, ran.folder))
  t.contains(shown, 'off: G05 init_loss: switched off')
  local listed = t.shell(('RUNNER_RESULTS_DIR=%s/results %s ls %s'):format(root, runs.RUNNER, ran.name))
  t.contains(listed, 'G05=off G37=off')
  t.contains(t.shell(('%s compare %s'):format(runs.RUNNER, ran.folder)), 'marked: guard G05 init_loss: off in 1 of 1 runs')
end)

t.test('a guard that warns lets the run end, and is recorded with its step', function()
  local ran = run [[
local warned
fit { callbacks = { { on_step = function(ctx, r) if r.step == 3 then ctx.trainer:warn('G16 slow_step: slow') end end } } }]]
  t.equal(ran.code, 0)
  t.contains(ran.output, 'warning: G16 slow_step: slow')
  t.equal({ ran.lines.guard[1].id, ran.lines.guard[1].step, guard_of(ran, 'G16').level }, { 'G16', 3, 'warn' })
end)

t.test('a guard that stops is an event too', function()
  local ran = run('fit()', 'train.expect_loss=20')
  t.equal(ran.code, 6)
  t.equal({ ran.lines.guard[1].level, guard_of(ran, 'G05').level }, { 'error', 'error' })
  t.matches(guard_of(ran, 'G05').message, '^G05 init_loss: first loss')
end)
