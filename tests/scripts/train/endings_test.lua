-- Every way in which a script can end closes its run: with a state, a code, a reason and how far it came.
local host = require 'host'
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'

runs.write('text.txt', texts.animals(100))

local HEAD = ([[
local experiment, data, models, train = require 'experiment', require 'data', require 'models', require 'train'
local cfg = experiment.config { train = { epochs = 2, seed = 3 },
  data = { file = '%s/text.txt', batch = 8, seq = 18, stride = 18, allow_leak = true } }
local text = data.text(cfg.data)
local net = models.char_rnn { vocab = text.vocab_size, cell = 'gru', embed = 4, hidden = 4, layers = 1 }
local function fit(callback)
  return train.fit { model = net, data = text, options = cfg.train, callbacks = { callback } }
end
local function at(step, f) return { name = 'ending', on_step = function(_, r) if r.step == step then f(r) end end } end
]]):format(runs.root)

-- What became of a run: state and code of exit.json, the process's code, the steps that were made.
local function ending(body, ...)
  local ran = runs.run(HEAD .. body, ...)
  local ended = ran.exit
  t.is_true(ended ~= nil, ran.output)
  return { state = ended.state, recorded = ended.code, code = ran.code, step = ended.step }, ended, ran
end

t.test('os.exit in a callback ends the run with its code', function()
  for code, state in pairs { [0] = 'INTERRUPTED', [1] = 'FAILED', [7] = 'TIMEOUT', [75] = 'PREEMPTED' } do
    local got, ended, ran = ending(('fit(at(3, function() os.exit(%d) end))'):format(code))
    t.fields(got, { state = state, recorded = code, code = code, step = 3 })
    t.equal(ended.reason, ('os.exit(%d) during the training'):format(code))
    t.contains(ran.output, (' is %s: os.exit(%d) during the training'):format(state, code))
    t.contains(runs.command('ls', ran.name), state)
  end
  local got = ending('fit(at(3, function() os.exit(false, true) end))')
  t.fields(got, { state = 'FAILED', recorded = 1, code = 1, step = 3 })
end)

t.test('os.exit in a coroutine, in on_start, in on_end or after the training ends the run with its code', function()
  local got = ending 'fit(at(3, coroutine.wrap(function() os.exit(5) end)))'
  t.fields(got, { state = 'FAILED', recorded = 5, code = 5, step = 3 })
  got = ending 'fit { name = "ending", on_start = function() os.exit(4) end }'
  t.fields(got, { state = 'FAILED', recorded = 4, code = 4, step = 0 })
  got = ending 'fit { name = "ending", on_end = function() os.exit(0) end }'
  t.fields(got, { state = 'INTERRUPTED', recorded = 0, code = 0 })
  got = ending 'fit {} os.exit(0)'
  t.fields(got, { state = 'FINISHED', recorded = 0, code = 0 })
  got = ending 'fit {} os.exit(3)'
  t.fields(got, { state = 'FAILED', recorded = 3, code = 3 })
end)

t.test('an error in a callback or on_end, without a message, of recursion or of memory fails the run', function()
  local got, ended = ending 'fit(at(3, function() error "enough" end))'
  t.fields(got, { state = 'FAILED', recorded = 1, code = 1, step = 3 })
  t.contains(ended.reason, 'enough')
  got, ended = ending 'fit { name = "ending", on_end = function() error "too late" end }'
  t.fields(got, { state = 'FAILED', recorded = 1, code = 1 })
  t.contains(ended.reason, 'too late')
  for _, value in ipairs { 'nil', '{}', 'setmetatable({}, { __tostring = function() return "odd" end })' } do
    got, ended = ending(('pcall(fit, at(3, function() error(%s) end))'):format(value)) -- the script goes on
    t.fields(got, { state = 'FAILED', recorded = 1, code = 0, step = 3 })
    t.is_true(ended.reason ~= '', value)
  end
  got, ended = ending 'fit(at(3, function() local function deeper() return 1 + deeper() end deeper() end))'
  t.fields(got, { state = 'FAILED', recorded = 1, code = 1, step = 3 })
  t.contains(ended.reason, 'stack overflow')
  got, ended = ending 'fit(at(3, function() return ("x"):rep(2 ^ 31 - 1) end))'
  t.fields(got, { state = 'FAILED', recorded = 1, code = 1, step = 3 })
  t.contains(ended.reason, 'not enough memory')
end)

t.test('a training in a coroutine that nobody goes on with is interrupted', function()
  local got, ended = ending [[
local suspended = coroutine.create(fit)
coroutine.resume(suspended, { name = 'ending', on_start = function() coroutine.yield() end })]]
  t.fields(got, { state = 'INTERRUPTED', recorded = 0, code = 0, step = 0 })
  t.equal(ended.reason, 'the script ended while this training was suspended')
end)

t.test('a training whose process becomes another program has failed', function()
  local got, ended = ending [[
local ffi = require 'ffi'
ffi.cdef 'int execl(const char*, const char*, ...);'
fit(at(3, function() ffi.C.execl('/bin/sleep', 'sleep', '1', ffi.cast('char*', nil)) end))]]
  t.fields(got, { state = 'FAILED', recorded = 1, code = 0, step = 3 })
  t.contains(ended.reason, 'became another program (exec of ')
  -- Where nobody looks on, the run is dead at once, not after two minutes without a heartbeat.
  local ran = runs.run(HEAD .. [[
local ffi = require 'ffi'
ffi.cdef 'int execl(const char*, const char*, ...);'
fit(at(3, function()
  ffi.C.execl('/bin/sh', 'sh', '-c', os.getenv 'LS', ffi.cast('char*', nil))
end))]], 'watchdog.off=true')
  t.equal(host.stat(ran.folder .. '/exit.json'), nil)
  t.contains(runs.command('ls', ran.name), 'dead')
end)

t.test('a closed stdin, and a reader of stdout that leaves, stop nothing', function()
  local script = runs.write('streams.lua', HEAD .. [[
fit(at(3, function() for i = 1, 20000 do print(i) end end))
print "end"]])
  local lines = { stdin = '%s %s <&-', pipe = '{ %s %s; echo "code $?" >&2; } | head -1', stdout = '%s %s >&-' }
  for name, line in pairs(lines) do
    local output, code = t.shell(('export RUNNER_RESULTS_DIR=%s/%s; ' .. line)
      :format(runs.root, name, runs.RUNNER, script))
    local ended = runs.json(('%s/%s/streams/latest/exit.json'):format(runs.root, name))
    t.fields(ended, { state = 'FINISHED', code = 0 }, name)
    t.equal(code, 0, name)
    if name == 'pipe' then t.contains(output, 'code 0') end
  end
end)

t.test('a training that the prompt began is interrupted by os.exit', function()
  local typed = t.quote((HEAD:gsub('\n', ' '):gsub('local ', '')))
  local output, code = t.shell(([[
printf '%%s\n' %s 'fit(at(3, function() os.exit(0) end))' | RUNNER_RESULTS_DIR=%s/prompt %s]])
    :format(typed, runs.root, runs.RUNNER))
  t.equal(code, 0, output)
  local folder = ('%s/prompt'):format(runs.root)
  for _, name in ipairs(host.listdir(folder) or {}) do
    t.equal(runs.json(('%s/%s/latest/exit.json'):format(folder, name)).state, 'INTERRUPTED')
  end
  t.is_true(#(host.listdir(folder) or {}) > 0, output)
end)
