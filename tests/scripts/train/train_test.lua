-- train.fit as users run it: scripts in processes of their own, with their run directories, guards and exit codes.
local host = require 'host'
local runs = require 'testing.runs'
local t = require 'testing'
local trainings = require 'testing.trainings'

local root, RUNNER, read, write, json = runs.root, runs.RUNNER, runs.read, runs.write, runs.json

-- A text of 1,800 characters: 50 train batches and 5 val batches an epoch.
local words, picked, drawn = { 'the ', 'moon ', 'light ', 'horned ', 'lan ', 'thorn ', '\n' }, {}, 7
for i = 1, 400 do
  drawn = (drawn * 1103 + 12345) % 65536 -- the same text everywhere
  picked[i] = words[math.floor(drawn / 64) % #words + 1]
end
local TEXT = write('tiny.txt', table.concat(picked):sub(1, 1800))

local HEAD = trainings.characters(TEXT, {
  data = 'drop_last = true', train = 'epochs = 2', more = 'tscore = { every = 1 }' })

-- Runs HEAD and the body as a script of its own name. Gives output, exit code and the run directory if there is one.
local function run(body, ...)
  local ran = runs.run(HEAD .. body, ...)
  return ran.output, ran.code, ran.folder
end

local function events(folder, name)
  local found = {}
  for _, row in ipairs(runs.rows(folder .. '/metrics.jsonl')) do
    if row.kind == 'event' and row.event == name then found[#found + 1] = row end
  end
  return found
end

local FIT = "local f = fit() print(f.state, f.steps, f.run)"

t.test('a fit leaves a complete run directory', function()
  local output, code, folder = run(FIT)
  t.equal(code, 0, output)
  t.matches(output, 'FINISHED\t100\t' .. root:gsub('%p', '%%%0'))
  for _, name in ipairs { 'manifest.json', 'config.json', 'status.json', 'exit.json' } do
    t.equal(json(folder .. '/' .. name).format, 1, name)
  end
  local exit, manifest = json(folder .. '/exit.json'), json(folder .. '/manifest.json')
  local config = json(folder .. '/config.json')
  t.fields(exit, { state = 'FINISHED', code = 0, step = 100, steps = 100 })
  t.equal(#exit.guards, 0)
  t.is_true(exit.summary.val_loss.best < exit.summary.train_loss.last + 1)
  t.fields(manifest, { seed = 1, device = 'cpu' })
  t.equal(manifest.data[1].name, 'tiny.txt')
  t.equal(manifest.config_hash:sub(1, 7), 'sha256:')
  t.fields(config.values.optim, { lr = 0.01, name = 'adam' })
  t.equal(config.origin['optim.lr'], 'script')
  t.equal(config.origin['optim.name'], 'default')
  t.contains(read(folder .. '/src/run1.lua'), 'local function fit')
  t.contains(read(folder .. '/stdout.log'), 'FINISHED\t100')
  t.is_true(next((require('torch').load(folder .. '/model.safetensors'))) ~= nil)
end)

t.test('metrics hold every update and every eval', function()
  local _, _, folder = run(FIT)
  local trained, evals = 0, 0
  for _, row in ipairs(runs.rows(folder .. '/metrics.jsonl')) do
    if row.kind == 'train' then
      trained = trained + 1
      t.equal(row.step, trained)
      t.fields(row, { lr = 0.01, tokens_backprop = 32 * trained })
      t.is_true(row.loss > 0 and row.grad_norm > 0 and row.tscore <= 1, 'update ' .. trained)
    elseif row.kind == 'eval' then
      evals = evals + 1
      t.fields(row, { split = 'val', n = 5, of = 5 })
    end
  end
  t.equal(trained, 100)
  t.equal(evals, 2)
  t.equal(#events(folder, 'start'), 1)
end)

t.test('the same seed gives the same curve, another seed another', function()
  local body = 'print(fit().epochs[2].train_loss)'
  local first = run(body, '-q')
  t.equal((run(body, '-q')), first)
  t.is_false((run(body, '-q', '--seed', '2')) == first)
end)

t.test('--max-steps, --epochs and --fast-dev-run make short runs', function()
  t.matches(run(FIT, '-q', '--max-steps', '3'), '^LIMIT\t3\t')
  t.matches(run(FIT, '-q', '--epochs', '1'), '^FINISHED\t50\t')
  t.matches(run(FIT, '-q', '--fast-dev-run'), '^LIMIT\t1\t')
  t.matches(run(FIT, '-q', '--fast-dev-run', 'optim.schedule=cosine', 'optim.warmup=30'), '^LIMIT\t1\t')
  t.matches(run(FIT, '-q', '--fast-dev-run=2'), '^LIMIT\t2\t')
end)

t.test('a dry run shows config and sizes and leaves nothing', function()
  local output, code, folder = run(FIT, '--dry-run', 'optim.lr=0.5')
  t.equal(code, 0, output)
  t.equal(folder, nil)
  t.contains(output, 'optim.lr = 0.5 ')
  t.matches(output, 'plan%s+2 epochs x 50 batches, 100 updates')
  t.is_false(output:find 'FINISHED')
end)

t.test('a loss function in Lua gets model, inputs and targets', function()
  local output, code = run [[
local same = fit { loss = function(m, x, y)
  local logits = m(x)
  return torch.cross_entropy(logits:reshape { -1, logits:size(-1) }, y:reshape { -1 })
end }
print(('%.4f'):format(same.epochs[2].train_loss))]]
  t.equal(code, 0, output)
  local native = run "print(('%.4f'):format(fit().epochs[2].train_loss))"
  t.equal(output:match '(%d%.%d+)\n$', native:match '(%d%.%d+)\n$')
  t.matches(run "fit { loss = function() return 3 end }", 'loss function must return a Tensor, got number 3')
end)

t.test('a model written in Lua trains without a loss function', function()
  local output, code = run [[
local model = require 'model'
net = model.define {
  build = function()
    return { embed = nn.Embedding { text.vocab_size, 8 }, head = nn.Linear { 8, text.vocab_size } }
  end,
  forward = function(m, x) return m.head(m.embed(x) * 0.5) end } {}
local f = fit()
print(f.state, f.epochs[1].train_loss > f.epochs[2].train_loss, f.tscore.n)]]
  t.equal(code, 0, output)
  t.contains(output, 'FINISHED\ttrue\t100')
end)

t.test('schedules and warm-up set the learning rate', function()
  local function rates(...)
    local _, code, folder = run(FIT, '-q', ...)
    t.equal(code, 0)
    local found = {}
    for _, row in ipairs(runs.rows(folder .. '/metrics.jsonl')) do
      if row.kind == 'train' then found[row.step] = row.lr end
    end
    return found
  end
  local cosine = rates('optim.schedule=cosine', 'optim.warmup=10', 'optim.min_factor=0.1')
  t.near(cosine[1], 0.001, 1e-12)
  t.near(cosine[10], 0.01, 1e-12)
  t.near(cosine[55 + 1], 0.01 * (0.1 + 0.9 * 0.5), 1e-12)
  t.near(rates('optim.schedule=step', 'optim.decay_every=40', 'optim.gamma=0.5')[100], 0.0025, 1e-12)
  t.near(rates('optim.schedule=linear')[51], 0.005, 1e-12)
end)

t.test('clipping holds the update down', function()
  local function last(...)
    local output = run('print(fit().epochs[1].train_loss)', '-q', 'optim.name=sgd', 'optim.lr=1', ...)
    return tonumber(output:match '([%d.]+)\n$')
  end
  t.is_true(last 'optim.clip_norm=0.001' > last() + 0.1)
  t.is_true(last 'optim.clip_value=0.00001' > last() + 0.1)
end)

t.test('groups take parameters by pattern', function()
  local output, code = run [[
cfg.optim.groups = { { match = '^embed', lr = 0.5 } }
print(fit { callbacks = { { on_start = function(ctx) print('start', ctx.model == net) end } } }.steps)]]
  t.equal(code, 0, output)
  t.equal(output:match '100\n$', '100\n')
  t.contains(output, 'start\ttrue')
  output, code = run "cfg.optim.groups = { { match = 'nothing' } } fit()"
  t.contains(output, "optim.groups[1]: no parameter matches 'nothing'")
  t.equal(code, 3, output)
end)

t.test('callbacks see steps, epochs and the end, and may stop', function()
  local output, code, folder = run [[
local seen = { steps = 0, epochs = 0 }
local f = fit { callbacks = { { name = 'mine', every = 10,
  on_step = function(ctx, record)
    seen.steps = seen.steps + 1
    if record.step == 70 then return 'stop', 'enough' end
  end,
  on_epoch = function(ctx, record)
    seen.epochs = seen.epochs + 1
    ctx.log { kind = 'event', event = 'mine', step = record.step }
  end,
  on_end = function(ctx, fit) print('end', fit.steps, #ctx.generate { prompt = 'the ', length = 5 }) end } } }
print(f.state, f.reason, seen.steps, seen.epochs)]]
  t.equal(code, 0, output)
  t.contains(output, 'end\t70\t5\n')
  t.contains(output, 'STOPPED\tenough\t7\t2\n')
  t.equal(#events(folder, 'mine'), 2)
  t.equal(json(folder .. '/exit.json').state, 'FINISHED')
  t.equal(json(folder .. '/exit.json').reason, 'enough')
end)

t.test('early_stop ends a training that no longer improves', function()
  local output, code, folder = run([[
local f = fit { callbacks = { { 'early_stop', patience = 2, min_delta = 100 } } }
print(f.state, #f.epochs)]], 'train.epochs=9')
  t.equal(code, 0, output)
  t.contains(output, 'STOPPED\t3')
  t.equal(#events(folder, 'early_stop'), 1)
  t.matches(run("fit { callbacks = { 'early_stop' } }", 'eval.off=true'),
    'callback early_stop: there is no val_loss; is eval off%?')
end)

t.test('sample_text prints text and never ends a run', function()
  local output, code, folder = run [[
fit { callbacks = { { 'sample_text', prompt = 'the ', length = 12, every_epochs = 1 } } }]]
  t.equal(code, 0, output)
  t.contains(output, 'sample after epoch 1\nthe ')
  t.equal(#events(folder, 'sample'), 3)
  t.equal(#events(folder, 'sample')[1].text, 12)
  output, code = run "fit { callbacks = { { 'sample_text', prompt = 'Q' } } }"
  t.contains(output, "character 'Q' (U+0051) is not in the vocabulary")
  t.equal(code, 0, output)
end)

t.test('the tscore callback probes the first batches', function()
  local output, code, folder = run [[
local probe = require 'callbacks.tscore' { batches = 3 }
fit { callbacks = { probe } }
print(#probe.history, probe.history[2] > 0 and probe.history[2] <= 1)]]
  t.equal(code, 0, output)
  t.contains(output, '2\ttrue')
  t.equal(#events(folder, 'tscore_probe'), 2)
  t.equal(events(folder, 'tscore_probe')[1].batches_n, 3)
end)

t.test('unknown callbacks name the nearest', function()
  local output, code = run "fit { callbacks = { 'early_stp' } }"
  t.contains(output, "callback 'early_stp' is not known; nearest: early_stop")
  t.equal(code, 3, output)
end)

local function failed(folder, state, code, pattern)
  local exit = json(folder .. '/exit.json')
  t.fields(exit, { state = state, code = code })
  t.matches(exit.reason, pattern)
  return exit
end

t.test('a callback that errors ends the run as FAILED with the user\'s line', function()
  local output, code, folder = run [[
fit { callbacks = { { on_step = function(_, r) if r.step == 5 then error 'boom' end end } } }]]
  t.equal(code, 1, output)
  t.matches(output, 'error: .*run%d+%.lua:%d+: boom')
  t.equal(failed(folder, 'FAILED', 1, 'boom').step, 5)
end)

t.test('an error of the script after the fit is the run\'s exit code too', function()
  local _, code, folder = run "fit() error 'late'"
  t.equal(code, 1)
  failed(folder, 'FAILED', 1, '')
end)

t.test('guard G05 stops a bad start, warns or keeps quiet', function()
  local output, code, folder = run(FIT, 'train.expect_loss=20')
  t.matches(output, 'error: .*G05 init_loss: first loss 2%.%d+, expected 20')
  t.equal(code, 6, output)
  t.equal(failed(folder, 'DIVERGED', 6, 'G05').guards[1].id, 'G05')
  output, code, folder = run(FIT, 'train.expect_loss=20', 'guards.init_loss=warn')
  t.contains(output, 'warning: G05 init_loss: first loss')
  t.equal(code, 0, output)
  t.equal(events(folder, 'guard')[1].id, 'G05')
  t.equal(json(folder .. '/exit.json').guards[1].level, 'warn')
  output, code = run(FIT, 'train.expect_loss=20', 'guards.init_loss=off')
  t.equal(code, 0, output)
  t.equal(output:find 'G05', nil)
end)

-- A model with a layer that nothing reaches.
local IDLE = [[
local model = require 'model'
net = model.define {
  build = function()
    return { embed = nn.Embedding { text.vocab_size, 8 }, head = nn.Linear { 8, text.vocab_size },
      idle = nn.Linear { 2, 2 } }
  end,
  forward = function(m, x) return m.head(m.embed(x) * 0.5) end } {}
fit()]]

t.test('guard G30 finds parameters that nothing reaches', function()
  local output, code, folder = run(IDLE)
  t.equal(code, 6, output)
  t.contains(output, 'G30 dead_parameter: no gradient reaches idle.weight, idle.bias')
  failed(folder, 'DIVERGED', 6, 'idle')
end)

t.test('guard G30 passes over parameters that may be dead, and says that it does', function()
  local output, code, folder = run(IDLE, 'train.allow_dead=[^idle%.]')
  t.equal(code, 0, output)
  t.contains(runs.read(folder .. '/exit.json'), 'train.allow_dead=[^idle%.]')
  output, code = run(IDLE, 'train.allow_dead=[^idel%.]')
  t.equal(code, 3, output)
  t.contains(output, "train.allow_dead: no parameter matches '^idel%.'")
end)

t.test('guard G30 finds a learning rate of 0', function()
  local output, code = run(FIT, 'optim.lr=0')
  t.equal(code, 6, output)
  t.matches(output, 'G30 dead_parameter: after 10 updates: .*did not move')
end)

t.test('guard G23 stops at a loss that is not finite', function()
  local output, code, folder = run [[
local n = 0
fit { loss = function(m, x, y)
  n = n + 1
  local logits = m(x)
  local loss = torch.cross_entropy(logits:reshape { -1, logits:size(-1) }, y:reshape { -1 })
  return n > 20 and loss * (0 / 0) or loss
end }]]
  t.equal(code, 6, output)
  t.matches(output, 'G23 nonfinite: the loss is %-?nan at update 18')
  failed(folder, 'DIVERGED', 6, 'G23')
end)

t.test('guard G13 asks before stride 1, guard G20 finds keys nobody reads', function()
  local output, code = run(FIT, 'data.stride=1')
  t.equal(code, 7, output)
  t.matches(output, 'G13 budget: stride 1 makes %d+ train .* set data.allow_overlap=true')
  output, code = run(FIT, '+model.rmsnorm=true')
  t.equal(code, 3, output)
  t.contains(output, "G20 config_keys: key 'model.rmsnorm' was never read")
end)

t.test('Ctrl-C ends at a step boundary: exit 130, INTERRUPTED, model saved', function()
  local folder = root .. '/results/slow/latest'
  local script = write('slow.lua', HEAD .. [[
fit { callbacks = { { on_step = function() require("host").sleep(0.02) end } } }
print "not reached"]])
  local process = runs.start { script, 'train.epochs=100000' }
  process:wait_for_text(folder .. '/metrics.jsonl', '"step":5,')
  process:signal 'INT'
  local output, code = process:wait()
  t.equal(code, 130, output)
  t.matches(output, 'interrupted by signal 2 after %d+ updates; the model so far is in')
  t.is_false(output:find 'not reached')
  t.fields(json(folder .. '/exit.json'), { state = 'INTERRUPTED', code = 130, signal = 2 })
  t.is_true(host.stat(folder .. '/model.safetensors') ~= nil)
end)

t.test('a results folder that cannot be written is exit 9, and nothing is left', function()
  local blocked = write('blocked', 'a file')
  local script = write('nowrite.lua', HEAD .. FIT)
  local output, code = t.shell(('RUNNER_RESULTS_DIR=%s/results %s %s'):format(blocked, RUNNER, script))
  t.equal(code, 9, output)
  t.contains(output, blocked)
  t.equal(read(blocked), 'a file')
end)

t.test('data and options that do not fit end before a run directory is made', function()
  for _, case in ipairs {
    { 4, 'data.batch=100', 'val: %d+ characters make %d+ rows .stride %d+., fewer than one batch of 100 x' },
    { 3, 'train.epochs=0', "option 'epochs' must be at least 1" },
    { 3, 'optim.name=adma', "'adma' is not known; nearest: adam" },
    { 3, 'optim.beta3=1', "unknown key 'optim.beta3'; nearest: optim.beta" },
  } do
    local output, code, folder = run(FIT, case[2])
    t.equal(code, case[1], output)
    t.equal(folder, nil)
    t.matches(output, case[3])
  end
end)

t.test('a val loss that is not a number stops the run and is not the best', function()
  local output, code, folder = run [[
local x = torch.randn { 8, 3 }
local set = data.tensors {
  x = x, y = x:sum { dim = 1, keepdim = true }, val_x = x * (0 / 0), val_y = torch.zeros { 8, 1 } }
train.fit { model = nn.Linear { 3, 1 }, data = set, options = cfg.train,
  loss = function(m, a, b) return torch.mse_loss(m(a), b) end }]]
  t.equal(code, 6, output)
  t.contains(output, 'G23 nonfinite: the val loss is not finite')
  t.equal(json(folder .. '/exit.json').state, 'DIVERGED')
end)

t.test('a run keeps its own outcome when its script goes on', function()
  local output, code = run [[
local first = fit()
local ok = pcall(fit, { optim = { lr = 0 } })
print('FIRST ' .. first.run, ok)]]
  t.equal(code, 0, output)
  local folder = output:match('FIRST (%S+)\tfalse')
  t.equal(json(folder .. '/exit.json').state, 'FINISHED')
  local states = {}
  for _, name in ipairs(host.listdir(folder .. '/..')) do
    local path = folder .. '/../' .. name .. '/exit.json'
    if name ~= 'latest' and host.stat(path) then states[#states + 1] = json(path).state end
  end
  table.sort(states)
  t.equal(states, { 'DIVERGED', 'FINISHED' })
end)

t.test('a trainer made in a coroutine outlives it', function()
  local output, code = run [[
for _ = 1, 10 do
  coroutine.resume(coroutine.create(function()
    fit { options = { max_steps = 2 }, callbacks = { { on_step = function() end } } }
  end))
  collectgarbage()
end
print 'alive']]
  t.equal(code, 0, output)
  t.contains(output, 'alive')
end)

t.test('misspelt events, seeds too late and names that are not there are told', function()
  for _, case in ipairs {
    { 3, "fit { callbacks = { { on_stp = print } } }", "there is no event 'on_stp'; nearest: on_step" },
    { 1, 'train.fitt {}', "train has no 'fitt'; nearest: fit" },
    { 1, 'data.txt {}', "data has no 'txt'; nearest: text" },
  } do
    local output, code = run(case[2])
    t.equal(code, case[1], output)
    t.contains(output, case[3])
  end
  local output, code = run('fit()', 'train.seed=-1')
  t.equal(code, 3, output)
  t.contains(output, 'train.seed must be a whole number from 0, got -1')
  output, code = run('fit()', 'train.device=gpu')
  t.equal(code, 3, output)
  t.contains(output, "device 'gpu' is not known; use cpu, cuda, cuda:N or auto")
end)

t.test('the published formula means the same in both modes, also where its eps counts', function()
  local body = [[
fit { loss = function(m, x, y)
  return torch.cross_entropy((m(x)):reshape(-1, text.vocab_size), y:reshape(-1)) * 1e-4
end }]]
  local found = {}
  for i, mode in ipairs { 'exact', 'loop' } do
    local _, code, folder = run(body, 'tscore.compat=v1.1', 'tscore.mode=' .. mode, 'guards.init_loss=off',
      'train.max_steps=1')
    t.equal(code, 0)
    for _, line in ipairs(runs.rows(folder .. '/metrics.jsonl')) do
      if line.kind == 'train' then found[i] = line.tscore end
    end
  end
  t.near(found[1], found[2], 1e-4)
  t.is_true(found[1] > 0.1 and found[1] < 0.99, 'the case must tell the scales apart')
end)

t.test('plateau lowers the learning rate where the loss no longer improves, and ends after so many times', function()
  local output, code, folder = run([[
local f = fit { callbacks = { { 'plateau', patience = 1, halvings = 2, min_delta = 100 } } }
print(f.state, f.reason, #f.epochs)]], '--epochs', '9')
  t.equal(code, 0, output)
  t.matches(output, 'STOPPED\tplateau: val_loss has not improved on [%d.]+ for 1 evals\t4\n')
  local rates = {}
  for i, event in ipairs(events(folder, 'plateau')) do rates[i] = event.lr end
  t.equal(#rates, 2)
  t.near(rates[2], rates[1] / 2, 1e-12)
end)
