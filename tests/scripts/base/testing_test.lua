-- The test kit itself: what its checks say when they fail, its exit codes, and how it waits.
local host = require 'host'
local processes = require 'testing.processes'
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'
local trainings = require 'testing.trainings'

-- The message of a check that fails, without its place.
local function said(check)
  local ok, problem = pcall(check)
  t.is_false(ok, 'the check passed')
  return (problem.message:gsub('^%S+_test%.lua:%d+: ', ''))
end

t.test('equality is by content, NaN included, and a failure tells both values and what was compared', function()
  t.equal({ 1, { 0 / 0 } }, { 1, { 0 / 0 } })
  t.equal(said(function() t.equal({ 1, 2 }, { 1, 3 }) end), 'expected { 1, 3 }, got { 1, 2 }')
  t.equal(said(function() t.equal(4, 0, 'what it printed') end), 'expected 0, got 4: what it printed')
  t.equal(said(function() t.near(1, 2, 0.5, 'half') end), 'expected 2 +- 0.5, got 1: half')
end)

t.test('a record may have other fields, and each that differs is named', function()
  local exit = { state = 'FAILED', code = 1, step = 7, guards = { 'G05' } }
  t.fields(exit, { state = 'FAILED', guards = { 'G05' } })
  t.equal(said(function() t.fields(exit, { state = 'FINISHED', code = 1, reason = 'enough' }, 'output') end),
    "field 'reason': expected 'enough', got nil; field 'state': expected 'FINISHED', got 'FAILED': output")
  t.equal(said(function() t.fields(nil, { code = 1 }) end), 'expected a record, got nil')
end)

t.test('a file exits with 1 for a failure or no test, 77 for a skipped one, else with 0', function()
  local function code_of(body)
    return select(2, t.runner(t.write_file("local t = require 'testing'\n" .. body)))
  end
  t.equal(code_of "t.test('a', function() t.equal(1, 1) end)", 0)
  t.equal(code_of "t.test('a', function() t.equal(1, 2) end)", 1)
  t.equal(code_of "t.test('a', function() end) t.test('b', function() t.skip 'why' end)", 77)
  t.equal(code_of "t.test('a', function() t.skip 'why' end) t.test('b', function() error 'x' end)", 1)
  t.equal(code_of '', 1)
end)

t.test('who waits gets what came, or learns at the deadline what did not', function()
  local calls = 0
  t.equal(t.wait_until('a third call', function()
    calls = calls + 1
    return calls == 3 and 'third'
  end), 'third')
  t.equal(said(function() t.wait_until('rain', function() return false end, 0) end), 'waited 0 s for rain')
end)

t.test('a process in the background is waited for, signalled, and gives its output and exit code', function()
  local process = processes.start('echo begun; exec sleep 600', runs.root .. '/sleeper')
  process:wait_for_text(runs.root .. '/sleeper.out', 'begun')
  t.is_false(process:ended())
  process:signal 'TERM'
  local output, code = process:wait()
  t.matches(output, '^begun\n')
  t.equal(code, 128 + 15)
end)

t.test('a process that ends before what is waited for is told with its output', function()
  local process = processes.start('echo broken; exit 3', runs.root .. '/broken')
  t.equal(said(function() process:wait_until('the sun', function() return false end) end),
    'the process ended without the sun: broken\n')
  t.equal(select(2, process:wait()), 3)
end)

t.test('a temporary path is free and of lower case, and what is made there goes away with the script', function()
  local output, code = t.runner('-e', [[
local t = require 'testing'
t.test('x', function()
  local folder = t.temporary_folder()
  io.open(folder .. '/file', 'w'):close()
  print('made', folder, t.temporary_path() ~= folder)
end)]])
  local folder, other = output:match 'made\t(%S+)\t(%l+)'
  t.equal(code, 0, output)
  t.equal(other, 'true')
  t.equal(folder, folder:lower())
  t.equal(host.stat(folder), nil)
end)

t.test('a run gives its output, exit code, and what its folder holds', function()
  local ran = runs.run(trainings.characters(runs.write('mat.txt', texts.mat(40)),
    { data = 'allow_leak = true', train = 'max_steps = 3' }) .. 'fit { callbacks = {} } print "over"', '-q',
    'guards.init_loss=off', 'guards.no_learning=off')
  t.equal(ran.code, 0, ran.output)
  t.contains(ran.output, 'over')
  t.equal(#ran.lines.train, 3)
  t.equal(ran.config.train.max_steps, 3)
  t.equal(ran.exit.step, 3)
  t.equal(runs.guard(ran, 'G05').level, 'off')
  t.equal(runs.guard(ran, 'G23'), nil)
  t.fields(runs.latest 'none', { name = 'none', lines = {} })
end)
