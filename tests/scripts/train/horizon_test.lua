-- Resumed for longer or shorter: where a schedule that ends with the training ends then.
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'

runs.write('text.txt', texts.animals(100))

local RATE, LEAST = 0.01, 0.1 -- the rate ends at a tenth
local SCRIPT = ([[
local experiment, data, models, train = require 'experiment', require 'data', require 'models', require 'train'
local cfg = experiment.config {
  train = { epochs = 2, seed = 3 }, optim = { lr = %g, min_factor = %g, schedule = 'cosine' },
  data = { file = '%s/text.txt', batch = 8, seq = 18, stride = 18, allow_leak = true } }
local text = data.text(cfg.data)
local net = models.char_rnn { vocab = text.vocab_size, cell = 'gru', embed = 4, hidden = 4, layers = 1 }
train.fit { model = net, data = text, optim = cfg.optim, options = cfg.train }
]]):format(RATE, LEAST, runs.root)

-- The curves, by their definitions.
local function factor(name, done, total)
  local share = math.min(done / total, 1)
  if name == 'cosine' then return LEAST + (1 - LEAST) * (1 + math.cos(math.pi * share)) / 2 end
  return LEAST + (1 - LEAST) * (1 - share)
end

local probe = runs.run(SCRIPT, 'train.epochs=1', 'train.max_steps=3')
t.equal(probe.code, 0, probe.output)
local EPOCH = runs.json(probe.folder .. '/manifest.json').batches
local first = runs.run(SCRIPT)

local function begin(name, ...)
  local ran = runs.run(SCRIPT, 'optim.schedule=' .. name, ...)
  t.is_true(ran.code == 0 or ran.code == 75, ran.output)
  return ran
end

-- The rate at which each update was made.
local function rates(folder)
  local by_step = {}
  for _, row in ipairs(runs.metrics(folder .. '/metrics.jsonl').train) do by_step[row.step] = row.lr end
  return by_step
end

-- Fails unless every update of steps `from` to `to` was made at the rate of the curve that ends at `total`.
local function follows(folder, name, from, to, total)
  local got = rates(folder)
  for step = from, to do t.near(got[step], RATE * factor(name, step - 1, total), 1e-9) end
end

t.test('the rates of an undisturbed run are the curve', function()
  follows(first.folder, 'cosine', 1, 2 * EPOCH, 2 * EPOCH)
end)

t.test('a longer or shorter plan is refused with both curves, and nothing of the run is touched', function()
  for _, name in ipairs { 'cosine', 'linear' } do
    local done = begin(name)
    local metrics = runs.read(done.folder .. '/metrics.jsonl')
    local plans = { [4 * EPOCH] = { 'train.epochs=4' },
      [3 * EPOCH] = { 'train.epochs=9', 'train.max_steps=' .. 3 * EPOCH } }
    for total, words in pairs(plans) do
      local output, code = runs.command('resume', done.name, unpack(words))
      t.equal(code, 3, output)
      t.contains(output,
        ("the run's %s schedule ends at update %d, with this plan at %d"):format(name, 2 * EPOCH, total))
      t.contains(output, ('optim.horizon=keep      lr %.2g at update %d'):format(RATE * LEAST, 2 * EPOCH + 1))
      t.contains(output,
        ('optim.horizon=stretch   lr %.2g at update %d'):format(RATE * factor(name, 2 * EPOCH, total), 2 * EPOCH + 1))
      t.equal(runs.read(done.folder .. '/metrics.jsonl'), metrics)
    end
    local cut = begin(name, '--stop-after', '5')
    local output, code = runs.command('resume', cut.name, 'train.max_steps=9')
    t.equal(code, 3, output)
    t.contains(output, ('ends at update %d, with this plan at 9'):format(2 * EPOCH))
    t.contains(output, ('optim.horizon=stretch   lr %.2g at update 6'):format(RATE * factor(name, 5, 9)))
  end
end)

t.test('keep stays on the curve and at its end, stretch goes over to the new one, a number ends there', function()
  local choices = { cosine = { keep = 2 * EPOCH, stretch = 3 * EPOCH, [tostring(2 * EPOCH + 2)] = 2 * EPOCH + 2 },
    linear = { stretch = 3 * EPOCH } }
  for name, given_of in pairs(choices) do
    for given, total in pairs(given_of) do
      local ran = begin(name, '--stop-after', '5')
      local output, code = runs.command('resume', ran.name, 'train.epochs=3', 'optim.horizon=' .. given)
      t.equal(code, 0, output)
      follows(ran.folder, name, 1, 5, 2 * EPOCH)
      follows(ran.folder, name, 6, 3 * EPOCH, total)
      local events = runs.metrics(ran.folder .. '/metrics.jsonl').horizon
      if total == 2 * EPOCH then
        t.contains(output, ('%s still ends at update %d'):format(name, total))
      else
        t.contains(output, ('%s now ends at update %d (was %d)'):format(name, total, 2 * EPOCH))
      end
      t.equal(#events, 1)
      t.fields(events[1], { was_update = 2 * EPOCH, ends_update = total, planned_updates = 3 * EPOCH })
      t.near(events[1].lr, RATE * factor(name, 5, total), 1e-9)
      t.near(events[1].lr_before, RATE * factor(name, 5, 2 * EPOCH), 1e-9)
    end
  end
end)

t.test('what was chosen holds for the next resume too', function()
  local ran = begin('cosine', '--stop-after', '5')
  t.equal(select(2, runs.command('resume', ran.name, 'train.epochs=3', 'optim.horizon=keep', '--stop-after', '9')), 75)
  -- The same plan again is the same question again, with the horizon that was kept.
  local output, code = runs.command('resume', ran.name, 'train.epochs=3')
  t.equal(code, 3, output)
  t.contains(output, ('ends at update %d, with this plan at %d'):format(2 * EPOCH, 3 * EPOCH))
  output, code = runs.command('resume', ran.name, 'train.epochs=3', 'optim.horizon=keep')
  t.equal(code, 0, output)
  follows(ran.folder, 'cosine', 1, 3 * EPOCH, 2 * EPOCH)
end)

t.test('train.resume=auto asks in the same way', function()
  local ran = begin('cosine', '--stop-after', '5')
  local script = ('%s/%s.lua'):format(runs.root, ran.name)
  local words = { script, 'optim.schedule=cosine', 'train.resume=auto', 'train.epochs=3' }
  local output, code = runs.command(unpack(words))
  t.equal(code, 3, output)
  t.contains(output, 'optim.horizon=keep')
  words[#words + 1] = 'optim.horizon=keep'
  output, code = runs.command(unpack(words))
  t.equal(code, 0, output)
  follows(ran.folder, 'cosine', 1, 3 * EPOCH, 2 * EPOCH)
end)

t.test('the same length, and schedules that do not end with the training, go on without a question', function()
  local ran = begin('cosine', '--stop-after', '5')
  local output, code = runs.command('resume', ran.name)
  t.equal(code, 0, output)
  follows(ran.folder, 'cosine', 1, 2 * EPOCH, 2 * EPOCH)
  t.equal(#runs.metrics(ran.folder .. '/metrics.jsonl').horizon, 0)
  ran = begin('step', 'optim.decay_every=3', '--stop-after', '5')
  t.equal(select(2, runs.command('resume', ran.name, 'train.epochs=3')), 0)
end)

t.test('a checkpoint that recorded no horizon is asked about all the same', function()
  local ran = begin('cosine', '--stop-after', '5')
  -- Such a checkpoint is one of an earlier version: its manifest vouches for the state as it is.
  local folder = ran.folder .. '/checkpoints/step-00000005'
  t.shell(("sed -i 's/\"total\":[0-9]*,*//; s/\"name\":\"cosine\",//' %s/state.json"):format(folder))
  local output, code = runs.command('resume', ran.name, 'train.epochs=3')
  t.is_true(code == 3 or code == 5, output)
end)

t.test('a fixed horizon is what a first training may have too', function()
  local ran = begin('cosine', 'optim.horizon=6')
  follows(ran.folder, 'cosine', 1, 2 * EPOCH, 6)
  for given, expected in pairs { ['often'] = "optim.horizon must be keep, stretch or a number of updates, got 'often'",
    ['0'] = 'optim.horizon must be a whole number of updates from 1, got 0', ['2.5'] = 'got 2.5' } do
    local bad = runs.run(SCRIPT, 'optim.schedule=cosine', 'optim.horizon=' .. given)
    t.equal(bad.code, 3, bad.output)
    t.contains(bad.output, expected)
  end
end)

t.test('a plan shorter than what was trained is refused', function()
  local ran = begin('constant', '--stop-after', '5')
  local output, code = runs.command('resume', ran.name, 'train.max_steps=4')
  t.equal(code, 3, output)
  t.contains(output, 'the plan of 4 updates is shorter than the 5 that the run has made')
end)
