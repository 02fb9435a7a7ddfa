-- Signals and time limits of runs in processes of their own: exit codes, states, what the run directory says of them.
local runs = require 'testing.runs'
local t = require 'testing'

-- A training of 4 ms a step that would take long, 20 updates an epoch.
local SCRIPT = [[
local experiment, data, train = require 'experiment', require 'data', require 'train'
local torch, nn, host = require 'torch', require 'nn', require 'host'
local cfg = experiment.config { train = { epochs = 1000000, seed = 1 }, optim = { lr = 1e-2 } }
local x = torch.randn { 8, 3 }
local set = data.custom { count = 20, rows = 8, get = function() return x, x:sum { dim = 1, keepdim = true } end }
local function loss(m, a, b)
  host.sleep(0.004)
  return torch.mse_loss(m(a), b)
end
train.fit { model = nn.Linear { 3, 1 }, data = set, loss = loss, options = cfg.train, optim = cfg.optim }
print 'the end'
]]

-- Waits at update 50 until the test has sent its signal.
local WAITS = [[callbacks = { { every = 50, on_step = function()
  while not host.stat('%s/sent') do host.sleep(0.01) end
end } },]]

local number = 0

-- Starts the script, sends it a signal while it trains, and waits for its end. Environment as in `env`.
local function signalled(signal, environment, ...)
  number = number + 1
  local name = 'signalled' .. number
  os.remove(runs.root .. '/sent')
  local script = runs.write(name .. '.lua', (SCRIPT:gsub('train%.fit {', '%0 ' .. WAITS:format(runs.root))))
  local process = runs.start { script, environment = '-u SLURM_JOB_ID ' .. environment, ... }
  process:wait_for_text(('%s/results/%s/latest/metrics.jsonl'):format(runs.root, name), '"step":5,')
  process:signal(signal)
  runs.write('sent', '')
  local output, code = process:wait()
  local ran = runs.latest(name)
  ran.output, ran.code = output, code
  return ran
end

local function expect(ran, code, state, signal, name)
  t.equal(ran.code, code, ran.output)
  t.fields(ran.exit, { code = code, state = state, signal = signal })
  t.equal(#ran.lines.signal, 1)
  t.fields(ran.lines.signal[1], { signal = signal, name = name })
  t.is_true(ran.exit.step >= 5 and ran.lines.signal[1].step == ran.exit.step)
  t.is_false(ran.output:find('the end', 1, true))
end

t.test('SIGTERM ends at a step boundary as INTERRUPTED with 143, SIGHUP with 129', function()
  expect(signalled('TERM', ''), 143, 'INTERRUPTED', 15, 'SIGTERM')
  expect(signalled('HUP', ''), 129, 'INTERRUPTED', 1, 'SIGHUP')
end)

t.test('under a scheduler SIGTERM is PREEMPTED with 75, and so is the requeue notice anywhere', function()
  local ran = signalled('TERM', 'SLURM_JOB_ID=7')
  expect(ran, 75, 'PREEMPTED', 15, 'SIGTERM')
  t.matches(ran.exit.reason, '^SIGTERM after %d+ of 20000000 updates$')
  expect(signalled('USR2', ''), 75, 'PREEMPTED', 12, 'SIGUSR2')
end)

t.test('a signal that comes when the loop is over counts as one at its end', function()
  local callback = "callbacks = { { on_end = function() os.execute('kill -TERM ' .. host.pid()) end } },"
  local ran = runs.run((SCRIPT:gsub('train%.fit {', '%0 ' .. callback)), 'train.epochs=1')
  t.equal(ran.code, 143, ran.output)
  t.fields(ran.exit, { state = 'INTERRUPTED', reason = 'SIGTERM after the last of 20 updates' })
  t.is_false(ran.output:find('the end', 1, true))
end)

t.test('SIGUSR1 saves at the next boundary and training goes on', function()
  local ran = signalled('USR1', '', 'train.epochs=5', 'checkpoint.every.seconds=0', 'checkpoint.every.epochs=0')
  t.equal(ran.code, 0, ran.output)
  t.fields(ran.exit, { state = 'FINISHED', step = 100 })
  t.equal(#ran.lines.signal, 1)
  t.equal(ran.lines.signal[1].name, 'SIGUSR1')
  t.equal(#ran.lines.checkpoint, 2)
  local late = ran.lines.checkpoint[1].step - ran.lines.signal[1].step
  t.is_true(late == 0 or late == 1, 'saved ' .. late .. ' updates later')
  t.contains(ran.output, 'the end')
end)

t.test('a run that was preempted goes on with resume', function()
  local ran = signalled('TERM', 'SLURM_JOB_ID=7', 'train.epochs=5')
  t.equal(ran.code, 75, ran.output)
  t.equal(ran.lines.checkpoint[#ran.lines.checkpoint].step, ran.exit.step)
  local output, code = t.shell(('%s resume %s'):format(runs.RUNNER, ran.folder))
  t.equal(code, 0, output)
  t.contains(output, 'the end')
  local exit = runs.json(ran.folder .. '/exit.json')
  t.fields(exit, { state = 'FINISHED', step = 100, attempt = 2 })
end)

t.test('SIGQUIT leaves the stacks of all threads and of Lua in the run, which goes on', function()
  local ran = signalled('QUIT', '', 'train.epochs=5')
  t.equal(ran.code, 0, ran.output)
  t.fields(ran.exit, { state = 'FINISHED', step = 100 })
  t.equal(ran.lines.signal[1].name, 'SIGQUIT')
  local name = t.shell(('ls %s/dumps'):format(ran.folder)):match('^(stacks%-%d+%.txt)\n$')
  local text = runs.read(ran.folder .. '/dumps/' .. name)
  t.contains(text, 'the main one\n  #0 ')
  t.contains(text, 'lanthorn::train::Trainer::Run')
  t.contains(text, 'lanthorn::StatusFile::Beat')
  t.matches(text, "\nLua\n.*lib/train%.lua:%d+: in function")
  t.matches(text, 'signalled%d+%.lua:%d+: in main chunk')
  t.matches(text, '\nend\n$')
end)

t.test('SIGQUIT without a run prints to stderr', function()
  local script = runs.write('norun.lua', [[require 'torch' print 'begun' io.stdout:flush()
require('host').sleep(60) print 'over']])
  local process = runs.start { script }
  process:wait_until('its first line', function() return process:output():find 'begun\n' end)
  process:signal 'QUIT'
  local output, code = process:wait()
  t.equal(code, 0, output)
  t.contains(output, 'norun.lua:2: in main chunk')
  t.matches(output, '\nover\n$')
end)

t.test('guard G09: a time limit ends the run as TIMEOUT with 7 and says how far it came', function()
  local ran = runs.run(SCRIPT, '--max-time', '2s', '--accept-eta')
  t.equal(ran.code, 7, ran.output)
  t.fields(ran.exit, { state = 'TIMEOUT', code = 7 })
  t.equal(ran.config.train.max_time, '2s')
  t.matches(ran.exit.reason,
    ('^time limit: %d of 20000000 updates in .*s %%(train.max_time=2%%)$'):format(ran.exit.step))
  t.contains(ran.output, 'the model so far is in')
  t.is_false(ran.output:find('the end', 1, true))
end)

t.test('a limit that was over before training began ends it before the first update', function()
  local ran = runs.run("require('host').sleep(0.3)\n" .. SCRIPT, 'train.max_time=0.2')
  t.equal(ran.code, 7, ran.output)
  t.fields(ran.exit, { state = 'TIMEOUT', step = 0 })
end)

t.test('a plan that cannot be done in time is stopped early, with the interval (G13)', function()
  local ran = runs.run(SCRIPT, '--max-time', '1h')
  t.equal(ran.code, 7, ran.output)
  -- 5 updates of warm-up, 20 that count, and the first of an epoch, which does not.
  t.matches(ran.output, 'G13 budget: plan needs %d+%-%d+ h, limit 60 min %(26 of 20000000 updates')
  t.fields(ran.exit, { state = 'TIMEOUT', step = 26 })
  t.equal(ran.exit.guards[1].id, 'G13')
end)

t.test('a malformed duration is refused, on the command line and in the config', function()
  local ran = runs.run(SCRIPT, '--max-time', 'soon')
  t.equal(ran.code, 2, ran.output)
  t.contains(ran.output, "expected a time such as 90s, 5m, 2h or HH:MM:SS, got 'soon'")
  ran = runs.run(SCRIPT, 'train.max_time=-3')
  t.equal(ran.code, 3, ran.output)
  t.contains(ran.output, "train.max_time: expected a time such as 90s, 5m, 2h or HH:MM:SS, got '-3'")
end)
