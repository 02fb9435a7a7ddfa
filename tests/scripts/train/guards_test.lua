-- The guards around a training: levels, records, and those that look at data, machine and seed. Tests are named by the
-- guard's id.
local fail = require 'fail'
local guards = require 'guards.registry'
local runs = require 'testing.runs'
local specs = require 'config.specs'
local t = require 'testing'
local texts = require 'testing.texts'
local trainings = require 'testing.trainings'

local json, root, write = runs.json, runs.root, runs.write

-- 50 train and 5 val batches an epoch.
local TEXT = write('letters.txt', texts.letters(1800))

local HEAD = trainings.characters(TEXT, { data = 'drop_last = true', train = 'epochs = 1' })

local function run(body, ...)
  return runs.run(HEAD .. body, ...)
end

t.test('every guard has an id, a name of its own, a level and an exit code', function()
  local seen, before = {}, ''
  for _, row in ipairs(guards.rows) do
    t.is_true(row.id:find '^G%d%d$' and row.id > before, row.id)
    before = row.id
    t.is_false(seen[row.name], row.name)
    seen[row.name] = true
    t.is_true(row.level == 'error' or row.level == 'warn')
    t.is_true(row.code >= 0 and row.code <= 9)
  end
  t.equal(specs.guards.init_loss[2], 'error')
  t.equal(specs.guards.slow_step[2], 'warn')
end)

t.test('an unknown guard gives the nearest', function()
  local err = t.error_matches(function() guards.find 'init_los' end, "there is no guard 'init_los'; nearest: init_loss")
  t.equal(fail.code_of(err), 3)
  local ran = run('fit()', 'guards.memory_flor=off')
  t.equal(ran.code, 3, ran.output)
  t.contains(ran.output, "unknown key 'guards.memory_flor'; nearest: guards.memory_floor")
  ran = run('fit()', 'guards.init_loss=loud')
  t.equal(ran.code, 3, ran.output)
  t.equal(ran.folder, nil)
  t.contains(ran.output, "option 'init_loss' is 'loud'; known: error, off, warn")
end)

t.test('a message tells which guard speaks, and only a guard does', function()
  local row, said = guards.speaker 'x.lua:3: G05 init_loss: first loss 4'
  t.equal(row.name, 'init_loss')
  t.equal(said, 'G05 init_loss: first loss 4')
  t.equal(guards.speaker 'boom G05 other: no', nil)
  t.equal(guards.speaker 'G99 nothing: no', nil)
end)

t.test('a guard that is off is an event, an entry of exit.json and a badge', function()
  local ran = run('fit()', 'guards.init_loss=off', 'guards.no_learning=off')
  t.equal(ran.code, 0, ran.output)
  t.equal(runs.guard(ran, 'G05').level, 'off')
  t.fields(ran.lines.guard[1], { id = 'G05', step = 0 })
  t.equal(ran.lines.guard[2].id, 'G37')
  t.contains(ran.lines.guard[1].message, 'G05 init_loss: switched off by guards.init_loss=off')
  local shown = t.shell(('%s show %s'):format(runs.RUNNER, ran.folder))
  t.contains(shown, 'off: G05 init_loss: switched off')
  local listed = runs.command('ls', ran.name)
  t.matches(listed, 'G05=off.*G37=off')
  t.contains(t.shell(('%s compare %s'):format(runs.RUNNER, ran.folder)),
    'marked: guard G05 init_loss: off in 1 of 1 runs')
end)

t.test('a guard that warns lets the run end, and is recorded with its step', function()
  local ran = run [[
local warned
fit { callbacks = { { on_step = function(ctx, r)
  if r.step == 3 then ctx.trainer:warn('G16 slow_step: slow') end
end } } }]]
  t.equal(ran.code, 0, ran.output)
  t.contains(ran.output, 'warning: G16 slow_step: slow')
  t.fields(ran.lines.guard[1], { id = 'G16', step = 3 })
  t.equal(runs.guard(ran, 'G16').level, 'warn')
end)

t.test('a guard that stops is an event too', function()
  local ran = run('fit()', 'train.expect_loss=20')
  t.equal(ran.code, 6, ran.output)
  t.equal(ran.lines.guard[1].level, 'error')
  t.equal(runs.guard(ran, 'G05').level, 'error')
  t.matches(runs.guard(ran, 'G05').message, '^G05 init_loss: first loss')
end)

t.test('guard G02 warns of a slow CPU with the rate, once a process, and is off where it is off', function()
  local body = [[
local asked = 0
require('fit.checks').measure_gemm = function(_, enough) asked = asked + 1 return enough / 10 end
fit() fit()
print('ASKED ' .. asked)]]
  local ran = run(body)
  t.equal(ran.code, 0, ran.output)
  t.matches(ran.output,
    'warning: G02 device_speed: float32 products run at %S+ GFLOP/s on %d+ threads? of the CPU, expected at least')
  t.contains(ran.output, 'ASKED 1')
  t.contains(run(body, 'guards.device_speed=off').output, 'ASKED 0')
  t.contains(run(body, '--fast-dev-run').output, 'ASKED 0')
  ran = run(body, '--max-steps=2')
  local machine = json(ran.folder .. '/manifest.json').machine
  t.near(machine.gemm_gflops, 0.5 * machine.threads, 1e-9)
end)

t.test('guard G02 stops for a GPU below 1 TFLOP/s and passes a fast one', function()
  local checks = require 'fit.checks'
  local measure = checks.measure_gemm
  checks.measure_gemm = function() return 4e11 end
  local err = t.error_matches(function() checks.check_speed('cuda:0', 'error') end,
    'G02 device_speed: .*400 GFLOP/s on cuda:0.*least 1e%+03')
  checks.measure_gemm = function() return 5e12 end
  t.equal(fail.code_of(err), 9)
  t.equal(checks.check_speed('cuda:0', 'error'), 5e12)
  checks.measure_gemm = measure
  t.is_true(checks.measure_gemm('cpu', 0) > 1e6)
end)

t.test('guard G06: random targets are told, marked, and nothing is claimed about them', function()
  local body = [[
local x = torch.randint(16, { 64, 5 })
local set = data.tensors { x = x, y = torch.randint(16, { 64, 5 }), batch = 8, vocab_size = 16, %s }
net = models.char_rnn { vocab = 16, embed = 8, hidden = 16, layers = 1 }
fit { data = set }]]
  local ran = run(body:format 'learnable = false', 'eval.off=true')
  t.equal(ran.code, 0, ran.output)
  t.contains(ran.output, 'warning: G06 learnable: the data is declared not learnable')
  t.equal(runs.guard(ran, 'G06').level, 'warn')
  t.equal(ran.lines.guard[1].no_claim, true)
  t.equal(json(ran.folder .. '/manifest.json').learnable, false)
  t.contains(run(body:format 'floor_nats = math.log(16)', 'eval.off=true').output,
    'the floor of the data, 2.773 nats, is that of guessing (ln 16)')
  t.is_false(run(body:format 'floor_nats = 1', 'eval.off=true').output:find 'declared')
  ran = run(body:format 'learnable = false', 'eval.off=true', 'data.learnable=true')
  t.is_false(ran.output:find 'warning: G06 learnable: the data')
  t.equal(runs.guard(ran, 'G06').level, 'off')
end)

t.test('guard G06: comparisons of runs without anything to learn conclude nothing', function()
  local words = {}
  for seed = 1, 3 do
    for _, loss in ipairs { 1, 2 } do
      local folder = ('%s/results/noise/20260101-00000%d-a1b2c%d'):format(root, seed, loss)
      t.shell('mkdir -p ' .. folder)
      local function put(name, text) write(folder:sub(#root + 2) .. '/' .. name, text) end
      put('manifest.json', '{"format":1,"seed":' .. seed .. '}')
      put('config.json', ('{"format":1,"values":{"optim":{"lr":0.%d},"train":{"seed":%d}}}'):format(loss, seed))
      put('metrics.jsonl', '')
      put('exit.json', ([[{"format":1,"state":"FINISHED","step":9,"summary":{"val_loss":{"best":%g}},
        "guards":[{"id":"G06","level":"warn","no_claim":true}]}]]):format(loss + seed / 100 * loss))
      words[#words + 1] = folder
    end
  end
  local output = t.shell(('%s compare %s'):format(runs.RUNNER, table.concat(words, ' ')))
  t.contains(output, 'no claim: G06 says that there is nothing to learn')
  t.contains(output, 'marked: guard G06 learnable: warn in 6 of 6 runs')
end)

t.test('guard G06: a loss that ends above ln V is worse than guessing', function()
  local ran = run('fit()', 'optim.lr=100', 'optim.name=sgd', 'guards.init_loss=off', 'guards.loss_spike.ratio=0')
  t.contains(ran.output, 'warning: G06 learnable: worse than guessing: the val loss ended at')
  t.equal(ran.lines.guard[#ran.lines.guard].step, 50)
  t.equal(ran.lines.guard[#ran.lines.guard].no_claim, nil)
  t.is_false(run('fit()', 'train.expect_loss=2.3', 'optim.lr=100', 'optim.name=sgd').output:find 'worse than guessing')
  -- Two updates of fifty prove nothing.
  local cut = run('fit()', 'optim.lr=100', 'optim.name=sgd', 'guards.init_loss=off', 'guards.loss_spike.ratio=0',
    'train.max_steps=2')
  t.is_false(cut.output:find 'worse than guessing', cut.output)
end)

t.test('guard G12: a dry run, a run and a bench name the same batches by one code', function()
  local dry = run('fit()', '--dry-run')
  local ran = run 'fit()'
  local line = dry.output:match '%d+ batches an epoch, first batch sha256:%x+'
  t.contains(ran.output, line)
  local manifest = json(ran.folder .. '/manifest.json')
  t.equal(line,
    ('%d batches an epoch, first batch %s'):format(manifest.batches, manifest.first_batch_sha256:sub(1, 19)))
  local bench = t.runner('bench', 'gru', '--rounds', '1', '--steps', '1', '-q')
  t.matches(bench, '8 batches an epoch, first batch sha256:%x+')
end)

t.test('guard G21: padding and masked targets of the first batch are told; one without targets stops', function()
  local body = [[
local y = torch.randint(16, { 8, 5 })
%s
net = models.char_rnn { vocab = 16, embed = 8, hidden = 16, layers = 1 }
fit { data = data.tensors { x = torch.randint(16, { 8, 5 }), y = y, batch = 4, vocab_size = 16 } }]]
  t.is_false(run(body:format '', '--fast-dev-run', 'eval.off=true').output:find 'masked')
  local ran = run(body:format 'y[{ {}, { 4, 5 } }] = -100; y[{ 0, 1 }] = -100', '--fast-dev-run', 'eval.off=true')
  t.equal(ran.code, 0, ran.output)
  t.contains(ran.output, 'first batch: 4 items, longest 4 of 5, padding 20.0 %, 25.0 % of the targets masked')
  ran = run(body:format 'y:fill_(-100)', 'eval.off=true')
  t.equal(ran.code, 4, ran.output)
  t.equal(ran.folder, nil)
  t.contains(ran.output, 'G21 batch_shape: all 20 targets of the first batch are masked')
end)

t.test('guard G24: a val that stands in train stops, a trace of it is told, and it can be accepted', function()
  local text = runs.read(TEXT)
  local function with(characters, ...)
    return run(([[
text = data.text { file = %q, batch = 4, seq = 8, stride = 8, allow_leak = cfg.data.allow_leak }
fit()]]):format(write('leak.txt', characters)), ...)
  end
  local copied = text .. text:sub(1, 200) -- the last tenth is a part of the beginning
  local ran = with(copied)
  t.equal(ran.code, 4, ran.output)
  t.equal(ran.folder, nil)
  t.matches(ran.output,
    'G24 validation: %d of 3 blocks of 64 characters of val also occur in train %(%d+ %%%), at most 1 %%')
  ran = with(copied, 'data.allow_leak=true')
  t.equal(ran.code, 0, ran.output)
  t.equal(runs.guard(ran, 'G24').level, 'off')
  t.equal(with(copied, 'eval.off=true').code, 0)
end)

t.test('guard G24: a text of a million characters that does not repeat has nothing of val in train', function()
  local text = require('data').text { file = write('million.txt', texts.words(1115394)) }
  local leak = text.native:leak()
  t.fields(leak, { shared = 0, searched = 1 })
  t.is_true(leak.blocks > 1700)
end)

t.test('an eval that is capped says how much of the split it takes', function()
  t.contains(run('fit()', 'eval.val_cap=2').output, 'val 2 of 5 batches')
  t.contains(run('fit()').output, 'val 5 batches')
end)

t.test('guard G15: start-up, updates, micro-batches, saves and evals have timers of their own', function()
  local ran = run('fit()', 'train.accumulate=4', 'checkpoint.every.steps=5')
  t.equal(ran.code, 0, ran.output)
  t.is_true(ran.lines.ready[1].startup_s > 0)
  for _, line in ipairs(ran.lines.train) do
    local all = 0
    for _, ms in pairs(line.phase_ms) do all = all + ms end
    t.near(all, line.wall_ms, 0.02 * line.wall_ms)
    t.is_true(line.micro_ms < line.step_ms and line.step_ms <= line.wall_ms)
    t.equal(line.phase_ms.save ~= nil, line.step == 6 or line.step == 11)
  end
  t.is_true(ran.lines.checkpoint[1].save_ms > 0 and ran.lines.eval[1].eval_s > 0)
  t.matches(ran.output, 'step +[%d.]+ ms an update, [%d.]+ ms a micro%-step %(forward and backward%), median')
end)

t.test('guard G17: masked targets get no gradient, in a loss in Lua too, and a skipped update adds none', function()
  local ran = run [[
local x, y = torch.randint(16, { 16, 6 }), torch.randint(16, { 16, 6 })
y[{ {}, { 0, 3 } }] = -100
net = require('model').define { args = {},
  build = function() return { embed = nn.Embedding { 16, 8 }, head = nn.Linear { 8, 16 } } end,
  forward = function(m, ids) return m.head(m.embed(ids)) end } {}
fit { data = data.tensors { x = x, y = y, batch = 4, vocab_size = 16 },
  callbacks = { { before_update = function(_, r) return r.step == 2 and 'skip' or nil end } } }]]
  t.equal(ran.code, 0, ran.output)
  for i, tokens in ipairs { { 12, 24 }, { 12, 48 }, { 24, 72 }, { 36, 96 } } do
    t.fields(ran.lines.train[i], { tokens_backprop = tokens[1], tokens_forward = tokens[2] }, 'update ' .. i)
  end
end)

-- Each update leaves 1.2 MB behind.
local LEAKY = [[
local kept = {}
fit { callbacks = { { name = 'collector',
  on_step = function(_, r) kept[r.step] = torch.keep(torch.zeros { 300000 }) end } } }]]

t.test('guard G31: a callback that keeps a tensor of every update is warned, and stopped before a limit', function()
  local ran = run(LEAKY, 'train.epochs=20', 'train.max_steps=260', 'eval.off=true', 'guards.no_learning=off')
  t.equal(ran.code, 0, ran.output)
  t.equal(runs.guard(ran, 'G31').level, 'warn')
  t.equal(ran.lines.guard[#ran.lines.guard].step, 250)
  t.matches(ran.output, 'warning: G31 memory_growth: memory of tensors grows by 1%.2 MB an update')
  ran = run(LEAKY, 'train.epochs=20', 'eval.off=true', 'guards.no_learning=off', 'guards.memory.limit_mb=600')
  t.equal(ran.code, 7, ran.output)
  t.equal(ran.exit.state, 'FAILED')
  t.equal(runs.guard(ran, 'G31').level, 'error')
  t.matches(ran.output, 'G31 memory_growth: .*about 1%d%d%d MB at the end, limit 600 MB')
  t.equal(ran.lines.checkpoint[#ran.lines.checkpoint].step, 250)
end)

t.test('a run that hangs before its first update shows its plan', function()
  local ran = run [[fit { callbacks = { { on_start = function() error 'boom' end } } }]]
  t.equal(ran.code, 1, ran.output)
  t.contains(t.shell(('%s show %s'):format(runs.RUNNER, ran.folder)), '0 of 50 steps')
  t.contains(runs.command('ls', ran.name), '0 of 50 steps')
end)
