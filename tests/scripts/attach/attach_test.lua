-- runner attach: lines run inside a training, what they change is written down, what only looks leaves no trace, and
-- no client can hold the training up.
local equality = require 'runs.equality'
local host = require 'host'
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'
local trainings = require 'testing.trainings'

local FILE = runs.write('text.txt', texts.words(3000))

-- A training whose every update takes 5 ms longer, and which waits at update `hold` until the test lets it go.
local BODY = [[
local host = require 'host'
some_global = { 1 }
local function hold(ctx, record)
  host.sleep(0.005)
  while record.step == %d and not host.stat('%s/go') do host.sleep(0.01) end
end
fit { callbacks = { { every = 1, budget_pct = 100, over_budget = 'off', on_step = hold } } }
]]

local function script(epochs, hold)
  local training = trainings.characters(FILE, { data = 'allow_leak = true',
    train = ('epochs = %d, device = "cpu"'):format(epochs),
    more = 'tscore = { every = 1 }, guards = { no_learning = "off" }' })
  return training .. BODY:format(hold or 0, runs.root)
end

local number = 0

-- Starts such a training; gives its process and the folder of its run once it trains.
local function start(epochs, hold)
  number = number + 1
  os.remove(runs.root .. '/go')
  local name = 'attached' .. number
  local process = runs.start { runs.write(name .. '.lua', script(epochs, hold)) }
  process:wait_for_text(('%s/results/%s/latest/metrics.jsonl'):format(runs.root, name), '"step":3,')
  return process, host.realpath(('%s/results/%s/latest'):format(runs.root, name)), name
end

local function attach(run, ...)
  local words = { 'attach', run }
  for _, line in ipairs { ... } do
    words[#words + 1] = '-e'
    words[#words + 1] = line
  end
  return runs.command(unpack(words))
end

local function step_of(run)
  local lines = runs.metrics(run .. '/metrics.jsonl').train
  return lines[#lines].step
end

local function goes_on(process, run)
  local from = step_of(run)
  process:wait_until('further updates', function() return step_of(run) > from + 5 end)
end

local function finish(process, run)
  t.equal(attach(run, 'fit:stop()'), '')
  local output, code = process:wait()
  t.equal(code, 0, output)
  t.is_false(host.stat(run .. '/attach.sock'))
end

t.test('lines run in the training, with values, errors and what they print', function()
  local process, run = start(100000)
  local output, code = attach(run, 'fit.lr', '1 + 1', 'print("x", some_global[1])', 'y = 3', 'y', 'model',
    'fit.last.step > 2 and model.head.weight.grad:abs():sum():item() > 0',
    'fit:sample("the", { length = 4 }):sub(1, 3)', 'fit:eval().loss > 0',
    'for i = 1, 2 do\nprint(i)\nend')
  t.equal(code, 0, output)
  t.matches(output, "^0%.01\n2\nx\t1\n3\n.*Embedding.*true\n'the'\ntrue\n1\n2\n$")
  output, code = attach(run, 'error "bad"')
  t.contains(output, 'error: stdin:1: bad')
  t.equal(code, 1)
  t.contains(attach(run, 'fit:step()'), "fit has no 'step'")
  t.contains(attach(run, 'x = = 1'), "unexpected symbol near '='")
  t.contains(attach(run, 'fit:plot()'), 'update')
  -- A pipe is a filter, and `latest` the newest run.
  output = t.shell(('printf "fit.lr\\nfor i = 7, 7 do\\nprint(i)\\nend\\n" | RUNNER_RESULTS_DIR=%s/results %s attach')
    :format(runs.root, runs.RUNNER))
  t.equal(output, '0.01\n7\n')
  goes_on(process, run)
  finish(process, run)
end)

t.test('what is changed is written down, shown, and marks the run', function()
  local process, run, name = start(100000)
  t.equal(attach(run, 'fit.lr = 1e-3'), '')
  t.equal(attach(run, 'torch = require "torch"; torch.no_grad(function() model.head.bias:zero_() end)'), '')
  t.equal(attach(run, 'some_global[1] = 2'), '')
  t.matches(attach(run, 'fit:save()'), "checkpoints/step%-%d+'\n$")
  finish(process, run)
  local ran = runs.latest(name)
  local changes = {}
  for i, line in ipairs(ran.lines.intervention) do changes[i] = line.change end
  t.equal(changes, { 'optim.lr 0.01 -> 0.001', 'weights, buffers or state of the optimiser', 'assigned to a field',
    'stopped' })
  t.fields(ran.lines.intervention[1], { by = 'attach', who = host.user_name(), text = 'fit.lr = 1e-3' })
  t.near(ran.lines.train[#ran.lines.train].lr, 1e-3, 1e-12)
  t.fields(ran.exit, { state = 'INTERRUPTED', code = 0 })
  t.contains(runs.command('show', run), 'fit.lr = 1e-3  (optim.lr 0.01 -> 0.001)')
end)

t.test('a run that was only looked at is the run that nobody attached to, byte for byte', function()
  local alone = runs.run(script(2))
  t.equal(alone.code, 0, alone.output)
  local process, run, name = start(2, 5)
  -- The training sits in a callback: a client is let in all the same, and its line waits for the boundary.
  local waiting = runs.start { 'attach', run, '-e', 'fit:eval().loss > 0', '-e', 'fit:overfit(5)', '-e',
    'fit:lr_find { updates = 10 }', '-e', 'fit:sample("a")', '-e', 'x = require("torch").randn { 3 }; math.random()',
    '-e', 'model:parameters()', '-e', 'fit:plot()', '-e', 'fit:pause()', '-e', 'fit:continue()' }
  process:wait_until('word that the line waits', function() return waiting:output():find('its next step boundary') end)
  runs.write('go', '')
  local output, code = waiting:wait()
  t.equal(code, 0, output)
  output, code = process:wait()
  t.equal(code, 0, output)
  t.equal(equality.compare(alone.folder, run), {})
  t.equal(runs.read(alone.folder .. '/model.safetensors'), runs.read(run .. '/model.safetensors'))
  t.equal(#runs.latest(name).lines.intervention, 0)
end)

t.test('a client that is killed, stopped or sends garbage does not hold the training up', function()
  local process, run = start(100000)
  local socket = run .. '/attach.sock'
  -- One that pauses and is killed; one that pauses and is stopped.
  for _, signal in ipairs { 'KILL', 'STOP' } do
    local fifo = t.temporary_path()
    t.shell('mkfifo ' .. t.quote(fifo))
    local client = runs.start { 'attach', run, environment = ('sh -c \'exec env "$@" <%s\' sh'):format(fifo) }
    local input = assert(io.open(fifo, 'w'))
    input:write 'fit:pause()\n'
    input:flush()
    process:wait_until('the pause', function()
      return runs.json(run .. '/status.json').phase == 'paused'
    end)
    client:signal(signal)
    process:wait_until('the end of the pause', function()
      return runs.json(run .. '/status.json').phase == 'train'
    end)
    goes_on(process, run)
    client:signal 'KILL'
    input:close()
  end
  -- Ten million bytes, with and without ends of lines.
  local send = [[import socket,sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
try:
    for _ in range(160): s.sendall(eval(sys.argv[2]) * 65536)
except OSError: pass
print(s.recv(100000)[-200:])]]
  for _, piece in ipairs { "b'x'", "b'\\n'", 'bytes([255])' } do
    t.shell(('python3 -c %s %s %s'):format(t.quote(send), t.quote(socket), t.quote(piece)))
    goes_on(process, run)
  end
  t.equal(attach(run, '1'), '1\n')
  finish(process, run)
end)

t.test('a line that never ends is stopped by its client, or with it', function()
  local process, run = start(100000)
  local client = runs.start { 'attach', run, '-e', 'while true do end', '-e', '2' }
  host.sleep(0.5)
  client:signal 'INT'
  local output = client:wait()
  t.contains(output, 'interrupted')
  t.matches(output, '2\n$')
  goes_on(process, run)
  client = runs.start { 'attach', run, '-e', 'while true do end' }
  host.sleep(0.5)
  client:signal 'KILL'
  goes_on(process, run)
  finish(process, run)
end)

t.test('Ctrl-C of a client stops its line and nothing else, whenever it comes', function()
  local process, run = start(100000)
  -- Interrupts without a pause, while lines of all lengths come and go.
  local send = [[import socket,sys,time
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.settimeout(0.0005)
end = time.time() + 4; i = 0
while time.time() < end:
    i += 1
    if i % 20 == 1: s.sendall(b'{"id": %d, "run": "1 + 1"}\n' % i)
    s.sendall(b'{"interrupt": true}\n')
    try: s.recv(65536)
    except OSError: pass]]
  t.shell(('python3 -c %s %s/attach.sock'):format(t.quote(send), t.quote(run)))
  goes_on(process, run)
  t.equal(attach(run, '1 + 1'), '2\n')
  finish(process, run)
end)

t.test('what would end the training from inside of itself is refused', function()
  number = number + 1
  local name = 'attached' .. number
  local body = script(100000):gsub('fit { callbacks', [[
handle = train.start { model = net, data = text, optim = cfg.optim, options = cfg.train, callbacks]])
    :gsub('%s*$', '') .. '\nhandle:run()\n'
  local process = runs.start { runs.write(name .. '.lua', body) }
  process:wait_for_text(('%s/results/%s/latest/metrics.jsonl'):format(runs.root, name), '"step":3,')
  local run = host.realpath(('%s/results/%s/latest'):format(runs.root, name))
  t.contains(attach(run, 'handle:close()'), 'fit:close: the training is in the middle of an update')
  t.contains(attach(run, 'handle:step()'), 'fit:step: the training is in the middle of an update')
  goes_on(process, run)
  finish(process, run)
end)

t.test('the mode of a model is the training\'s, whatever a client looks at', function()
  local process, run = start(100000)
  t.equal(attach(run, 'model:eval();', 'model.training', 'model.embed.training'), 'true\ntrue\n')
  goes_on(process, run)
  finish(process, run)
end)

t.test('a training that was made shorter by hand is resumed, and what the command asks for counts more', function()
  number = number + 1
  local name = 'attached' .. number
  local path = runs.write(name .. '.lua', script(100000) .. '\nerror "later"\n')
  local process = runs.start { path }
  process:wait_for_text(('%s/results/%s/latest/metrics.jsonl'):format(runs.root, name), '"step":3,')
  local run = host.realpath(('%s/results/%s/latest'):format(runs.root, name))
  t.equal(attach(run, 'fit.options.train.epochs = 1 + math.ceil(fit.last.epoch)'), '')
  local output, code = process:wait()
  t.equal(code, 1, output)
  local exit = runs.json(run .. '/exit.json')
  t.fields(exit, { state = 'FAILED' })
  local epochs = #runs.metrics(run .. '/metrics.jsonl').epoch
  output, code = runs.command('resume', run)
  t.equal(code, 1, output)
  t.contains(output, 'later')
  t.equal(runs.json(run .. '/exit.json').step, exit.step)
  output, code = runs.command('resume', run, ('train.epochs=%d'):format(epochs + 1))
  t.equal(code, 1, output)
  t.equal(#runs.metrics(run .. '/metrics.jsonl').epoch, epochs + 1)
end)

t.test('a client that is interrupted while it waits for its pipe leaves, and lines that did not run are a failure',
  function()
    local process, run = start(100000)
    local fifo = t.temporary_path()
    t.shell('mkfifo ' .. t.quote(fifo))
    local client = runs.start { 'attach', run, environment = ('sh -c \'exec env "$@" <%s\' sh'):format(fifo) }
    local input = assert(io.open(fifo, 'w'))
    input:write '1 + 1\n'
    input:flush()
    client:wait_until('the first answer', function() return client:output():find '2\n' end)
    client:signal 'INT'
    local output, code = client:wait()
    input:close()
    t.equal(output, '2\n')
    t.equal(code, 130)
    output, code = attach(run, 'fit:stop()', 'while true do end', '1')
    t.equal(code, 1, output)
    t.equal(select(2, output:gsub('the training is over', '')), 1, output)
    process:wait()
  end)

t.test('fifty clients leave nothing behind, and two at once have their own lines and globals', function()
  local process, run = start(100000)
  local function held()
    return #host.listdir(('/proc/%d/fd'):format(process.pid)), #host.listdir(('/proc/%d/task'):format(process.pid))
  end
  attach(run, '1')
  process:wait_until('the first client to be gone', function() return true end)
  host.sleep(0.5)
  local files, threads = held()
  for _ = 1, 50 do t.equal(attach(run, '1'), '1\n') end
  process:wait_until('all clients to be gone', function()
    local now, now_threads = held()
    return now <= files and now_threads <= threads
  end)
  local lines = {}
  for i = 1, 20 do lines[i] = ('x = (x or 0) + %d; print(x)'):format(i % 2 == 0 and 1 or 1) end
  local one = runs.start { 'attach', run, '-e', table.concat(lines, '\n') }
  local two = runs.start { 'attach', run, '-e', 'for i = 101, 120 do print(i) end' }
  local first, second = one:wait(), two:wait()
  local wanted_first, wanted_second = {}, {}
  for i = 1, 20 do wanted_first[i], wanted_second[i] = i .. '\n', (100 + i) .. '\n' end
  t.equal(first, table.concat(wanted_first))
  t.equal(second, table.concat(wanted_second))
  finish(process, run)
end)

t.test('a run that is over, dead, of another host or unknown gets one clear sentence', function()
  local process, run, name = start(1)
  local output, code = process:wait()
  t.equal(code, 0, output)
  output, code = attach(run, '1')
  t.equal(code, 2)
  t.matches(output, ('^error: run %s/%%S+ is over: FINISHED; `runner show'):format(name))
  process, run = start(100000)
  process:signal 'KILL'
  process:wait()
  t.matches(attach(run, '1'), '^error: run %S+ died at update %d+; `runner resume')
  t.shell(('sed -i \'s/"host": "[^"]*"/"host": "elsewhere"/\' %s/status.json'):format(t.quote(run)))
  t.contains(attach(run, '1'), "works on the host 'elsewhere'; attach there: ssh elsewhere runner attach")
  output, code = runs.command('attach', 'nothing')
  t.equal(code, 2, output)
end)

t.test('another user is refused', function()
  local process, run = start(100000)
  t.equal((t.shell(('stat -c %%a %s/attach.sock'):format(t.quote(run)))), '600\n')
  if host.user_name() == 'root' then -- who alone can become another user
    local program = [[import os,socket,sys
os.setuid(65534)
try: socket.socket(socket.AF_UNIX).connect(sys.argv[1])
except PermissionError: print('refused')]]
    t.shell(('chmod a+x %s %s/results %s/..'):format(t.quote(runs.root), t.quote(runs.root), t.quote(run)))
    t.equal((t.shell(('python3 -c %s %s/attach.sock'):format(t.quote(program), t.quote(run)))), 'refused\n')
  end
  finish(process, run)
end)
