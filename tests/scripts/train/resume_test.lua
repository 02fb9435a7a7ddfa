-- Checkpoints, runner resume, verify-resume and train.resume=auto as users run them.
local host = require 'host'
local run_equality = require 'runs.equality'
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'

runs.write('text.txt', texts.animals(300))

-- A character model with dropout, 26 updates an epoch, and whatever follows.
local HEAD = ([[
local experiment, data, models, train = require 'experiment', require 'data', require 'models', require 'train'
local cfg = experiment.config { train = { epochs = 2, seed = 3 }, optim = { lr = 0.01 }, tscore = { every = 1 },
  data = { file = '%s/text.txt', batch = 8, seq = 18, stride = 18, allow_leak = true, drop_last = true },
  model = { cell = 'gru' } }
local text = data.text(cfg.data)
local net = models.char_rnn {
  vocab = text.vocab_size, cell = cfg.model.cell, embed = 6, hidden = 8, layers = 2, dropout = 0.2 }
local fit = { model = net, data = text, optim = cfg.optim, options = cfg.train, tscore = cfg.tscore }
]]):format(runs.root)
local SCRIPT = HEAD .. "local f = train.fit(fit) print('ended', f.state, f.steps, f.best.epoch)"

local whole = runs.run(SCRIPT)
local STEPS = 2 * 26

-- Fails unless the run ended as the one that nothing disturbed; `more` may differ.
local function equals_whole(folder, more)
  local differences, step = run_equality.compare(whole.folder, folder)
  if differences[1] == more then table.remove(differences, 1) end
  t.equal(differences, {})
  t.equal(step, STEPS)
end

local function interrupted(after, ...)
  local ran = runs.run(SCRIPT, '--stop-after', tostring(after), ...)
  t.equal(ran.code, 75, ran.output)
  return ran
end

t.test('a run leaves its best and its last checkpoint, and events that tell of them', function()
  t.equal(whole.code, 0, whole.output)
  t.contains(whole.output, ('ended\tFINISHED\t%d\t2'):format(STEPS))
  local saved = whole.lines.checkpoint
  t.fields(saved[#saved], { step = STEPS, name = 'step-00000052', best = true })
  t.is_true(saved[#saved].save_ms > 0 and saved[#saved].size_mb > 0)
  for _, name in ipairs { 'model.safetensors', 'optim.safetensors', 'state.json', 'manifest.json' } do
    t.is_true(host.stat(whole.folder .. '/checkpoints/latest/' .. name) ~= nil, name)
  end
  t.equal(runs.json(whole.folder .. '/status.json').last_checkpoint, 'step-00000052')
end)

t.test('a run that was stopped within an epoch ends as one that was not', function()
  local ran = interrupted(11)
  t.equal(ran.exit.state, 'PREEMPTED')
  local output, code = runs.command('resume', ran.name)
  t.equal(code, 0, output)
  t.matches(output, 'resumed%s+step%-00000011 of %S+, attempt 2')
  t.contains(output, ('ended\tFINISHED\t%d\t2'):format(STEPS))
  equals_whole(ran.folder)
  local lines = runs.metrics(ran.folder .. '/metrics.jsonl')
  t.fields(lines.resume[1], { step = 11, checkpoint = 'step-00000011', attempt_n = 2 })
  t.equal(runs.json(ran.folder .. '/exit.1.json').state, 'PREEMPTED')
  t.fields(runs.json(ran.folder .. '/exit.json'), { attempt = 2, state = 'FINISHED' })
end)

t.test('a run that was killed ends as one that was not, also when it had no checkpoint yet', function()
  for _, moment in ipairs { '"step":2,', '"event":"checkpoint"' } do
    local name = 'killed' .. #moment
    local script = runs.write(name .. '.lua', HEAD .. [[
fit.callbacks = { { every = 1, on_step = function() require 'host'.sleep(0.03) end } }
train.fit(fit)]])
    local folder = ('%s/results/%s/latest'):format(runs.root, name)
    local process = runs.start { script, 'checkpoint.every.steps=7' }
    process:wait_for_text(folder .. '/metrics.jsonl', moment)
    process:signal 'KILL'
    process:wait()
    t.equal(host.stat(folder .. '/exit.json'), nil)
    local listed = runs.command('ls', name)
    t.contains(listed, 'dead')
    local output, code = runs.command('resume', name)
    t.equal(code, 0, output)
    equals_whole(folder, 'state.json.extra.callbacks differs')
  end
end)

t.test('guard G25: a damaged checkpoint is passed over by name', function()
  local ran = interrupted(30, 'checkpoint.every.steps=10')
  local newest = assert(io.open(ran.folder .. '/checkpoints/step-00000030/optim.safetensors', 'r+b'))
  newest:seek('set', 900)
  newest:write 'damage'
  newest:close()
  local report, problems = runs.command('fsck', ran.name)
  t.equal(problems, 5)
  t.contains(report, "checkpoint 'step-00000030': optim.safetensors is damaged")
  t.contains(report, 'resumes from step-00000026')
  local output, code = runs.command('resume', ran.name)
  t.equal(code, 0, output)
  t.contains(output,
    "passed over checkpoint 'step-00000030': optim.safetensors is damaged: its sha256 is not the recorded one")
  t.contains(output, 'resumed   step-00000026 of')
  equals_whole(ran.folder)
  t.equal(#runs.metrics(ran.folder .. '/metrics.jsonl').resume[1].passed_over, 1)
  for name in pairs { model = 1, optim = 1 } do
    for _, step in ipairs(host.listdir(ran.folder .. '/checkpoints')) do
      if step:find '^step' then
        t.shell(('truncate -s 20 %s/checkpoints/%s/%s.safetensors'):format(ran.folder, step, name))
      end
    end
  end
  output, code = runs.command('resume', ran.name, 'train.epochs=3')
  t.equal(code, 5, output)
  t.contains(output, 'no checkpoint verifies: ')
end)

t.test('--from takes a checkpoint by name and sets later ones aside', function()
  local ran = interrupted(30, 'checkpoint.every.steps=10', 'checkpoint.keep_last=9')
  local output, code = runs.command('resume', ran.name, '--from', 'step-00000010', '-q')
  t.equal(code, 0, output)
  equals_whole(ran.folder)
  t.is_true(host.stat(ran.folder .. '/checkpoints/void-step-00000020-1') ~= nil)
  output, code = runs.command('fsck', ran.name, '--prune')
  t.equal(code, 0, output)
  t.contains(output, 'void-step-00000020-1')
  t.equal(host.stat(ran.folder .. '/checkpoints/void-step-00000020-1'), nil)
  output, code = runs.command('resume', ran.name, '--from', 'step-00000011', 'train.epochs=3')
  t.equal(code, 5, output)
  t.contains(output, "checkpoint 'step-00000011'")
end)

t.test('a finished run can be made longer, and only so be resumed', function()
  local ran = runs.run(SCRIPT, 'train.epochs=1')
  local output, code = runs.command('resume', ran.name)
  t.equal(code, 5, output)
  t.contains(output, 'is FINISHED; to train it for longer add train.epochs=N or train.max_steps=N')
  output, code = runs.command('resume', ran.name, 'train.epochs=2', '-q')
  t.equal(code, 0, output)
  equals_whole(ran.folder, 'state.json.fit.epochs.1.epochs differs') -- how many were planned
  -- max_steps ends within an epoch: what was evaluated there is no part of the longer training.
  ran = runs.run(SCRIPT, 'train.max_steps=30')
  output, code = runs.command('resume', ran.name, 'train.max_steps=0', '-q')
  t.equal(code, 0, output)
  local weights = '/checkpoints/latest/model.safetensors'
  t.equal(runs.read(ran.folder .. weights) == runs.read(whole.folder .. weights), true)
end)

t.test('another config, script or data is refused with what differs', function()
  local ran = interrupted(5)
  local output, code = runs.command('resume', ran.name, 'optim.lr=0.5')
  t.equal(code, 3, output)
  t.contains(output, "resume: 'optim.lr' is 0.5, the run has 0.01; a resumed run computes what it began with")
  local script = ('%s/%s.lua'):format(runs.root, ran.name)
  runs.write(ran.name .. '.lua', SCRIPT .. '\n-- changed')
  output, code = runs.command('resume', ran.name)
  t.equal(code, 3, output)
  t.matches(output,
    "the script or one of its modules is not what the run began with .* accept with %-%-allow%-source%-change")
  output, code = runs.command('resume', ran.name, '--allow-source-change', '-q')
  t.equal(code, 0, output)
  t.is_true(host.stat(script) ~= nil)
  output, code = runs.command('resume', 'nonsense')
  t.equal(code, 2, output)
  t.contains(output, "run 'nonsense' is not in")
end)

t.test('a live run is not resumed, and of two that resume at once one is told the process of the other', function()
  -- The first waits at update 8 until the second has been told.
  local script = runs.write('alive.lua', HEAD .. ([[
local host = require 'host'
fit.callbacks = { { every = 8, on_step = function()
  while not host.stat('%s/told') do host.sleep(0.05) end
end } }
train.fit(fit)]]):format(runs.root))
  local output, code = runs.command(script, '-q', '--stop-after', '5')
  t.equal(code, 75, output)
  local first = runs.start { 'resume', 'alive', '-q', '--stop-after', '40' }
  first:wait_for_text(runs.latest('alive').folder .. '/metrics.jsonl', '"step":7,')
  output, code = runs.command('resume', 'alive')
  t.equal(code, 5, output)
  t.contains(output, ('is in use by process %s; stop that process, or wait for it to end'):format(first.pid))
  runs.write('told', '')
  output, code = first:wait()
  t.equal(code, 75, output)
end)

t.test('the time limit and the length of a resumed run may be given as options', function()
  local ran = interrupted(7)
  local output, code = runs.command('resume', ran.name, '-q', '--max-steps', '9', '--max-time', '1h')
  t.equal(code, 0, output)
  t.contains(output, 'ended\tLIMIT\t9')
end)

t.test('a script that trains several times is resumed as a whole', function()
  local several = HEAD .. [[
local first = train.fit(fit)
fit.options, fit.guards = { epochs = 1, device = 'cpu' }, { init_loss = 'off' }
local second = train.fit(fit)
print('ended', first.steps, first.best.epoch, #first.epochs, second.steps)]]
  local undisturbed = runs.run(several)
  t.contains(undisturbed.output, ('ended\t%d\t2\t2\t26'):format(STEPS))
  -- The second training is killed.
  local ran = runs.run(several:gsub('local second', [[
fit.callbacks = { { every = 1, on_step = function(_, r)
  if r.step == 9 and not os.getenv 'GO_ON' then os.execute('kill -9 ' .. host_pid()) end
end } }
local second]]):gsub('^', [[
local function host_pid() return tonumber((io.open('/proc/self/stat'):read '*n')) end
]]), '-q', 'checkpoint.every.steps=4')
  t.equal(ran.code, 137, ran.output)
  local resume = ('GO_ON=1 RUNNER_RESULTS_DIR=%s/results %s resume %s'):format(runs.root, runs.RUNNER, ran.name)
  local output, code = t.shell(resume)
  t.equal(code, 0, output)
  t.matches(output, 'finished%s+%S+: 52 updates, loaded')
  t.matches(output, 'resumed%s+step%-00000008')
  t.contains(output, ('ended\t%d\t2\t2\t26'):format(STEPS))
  local weights = '/checkpoints/latest/model.safetensors'
  t.equal(runs.read(ran.folder .. weights) == runs.read(undisturbed.folder .. weights), true)
end)

t.test('what callbacks and math.random have come to is kept', function()
  local script = HEAD .. [[
local counted, drawn = 0, {}
fit.callbacks = { { name = 'counter', every = 1,
  on_step = function() counted = counted + 1; drawn[#drawn + 1] = math.random(1e6) end,
  save = function() return { counted = counted, drawn = drawn } end,
  restore = function(_, saved) counted, drawn = saved.counted, saved.drawn end }, { 'early_stop', patience = 5 } }
train.fit(fit)
print('counted', counted, table.concat(drawn, ' '))]]
  local undisturbed = runs.run(script, '-q')
  local ran = runs.run(script, '-q', '--stop-after', '25')
  local output, code = runs.command('resume', ran.name, '-q')
  t.equal(code, 0, output)
  local counted = undisturbed.output:match 'counted[^\n]*'
  t.contains(counted, 'counted\t52')
  t.contains(output, counted)
end)

t.test("train.resume=auto goes on with the newest unfinished run of the same config, else begins", function()
  local script = runs.write('again.lua', SCRIPT)
  local function start(...) return runs.command(script, 'train.resume=auto', '-q', ...) end
  local function count() return #host.listdir(runs.root .. '/results/again') - 1 end -- without `latest`
  local _, code = start('--stop-after', '9')
  t.equal(code, 75)
  t.equal(count(), 1)
  _, code = start('optim.lr=0.02', '--stop-after', '3')
  t.equal(code, 75)
  t.equal(count(), 2)
  local output
  output, code = start()
  t.equal(code, 0, output)
  t.equal(count(), 2, output)
  t.contains(output, ('ended\tFINISHED\t%d'):format(STEPS))
  _, code = start('--stop-after', '2')
  t.equal(code, 75)
  t.equal(count(), 3)
end)

t.test('guard G26: verify-resume proves it for GRU and LSTM with dropout, within an epoch and past one', function()
  local script = runs.write('proof.lua', SCRIPT)
  for cell, threads in pairs { gru = 1, lstm = 2 } do
    local output, code = t.runner('verify-resume', script, 'model.cell=' .. cell, '--threads', tostring(threads),
      '--at', '5,27')
    t.equal(code, 0, output)
    t.contains(output, 'k = 5      10 updates: equal: parameters, optimiser, state, metrics')
    t.contains(output, 'k = 27     52 updates: equal')
  end
  local output, code = t.runner('verify-resume', script, '--at', '5', 'train.accumulate=2', 'train.precision=bf16',
    'train.emulate=true', 'data.shuffle=true')
  t.equal(code, 0, output)
end)

t.test('guard G26: verify-resume finds what a checkpoint does not keep', function()
  local script = runs.write('forgetful.lua', HEAD .. [[
local calls = 0
fit.callbacks = { { every = 1, on_step = function(ctx, r)
  calls = calls + 1
  if calls == 6 then net.head.bias:data():add_(1) end
end } }
train.fit(fit)]])
  local output, code = t.runner('verify-resume', script, '--at', '5')
  t.equal(code, 5, output)
  t.contains(output, 'model.safetensors differs')
  t.matches(output,
    'verify%-resume: 1 of 1 resumed trainings differ from the uninterrupted one; the run directories are in')
end)

t.test('impossible values are config errors', function()
  for _, case in ipairs {
    { 'checkpoint.keep_last=0', "option 'keep_last' must be at least 1, got 0" },
    { 'checkpoint.every.steps=-1', "option 'steps' must be at least 0, got -1" },
    { 'checkpoint.every.minutes=1', "unknown key 'checkpoint.every.minutes'" },
    { 'train.resume=maybe', "option 'resume' is 'maybe'" },
  } do
    local ran = runs.run(SCRIPT, case[1])
    t.equal(ran.code, 3, ran.output)
    t.contains(ran.output, case[2])
  end
end)
