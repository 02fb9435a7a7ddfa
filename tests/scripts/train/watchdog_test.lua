-- The watchdog as it works on runs in processes of their own (guard G11). Its decisions are tested in stall_test.
local host = require 'host'
local runs = require 'testing.runs'
local t = require 'testing'

-- A small training of 20 updates an epoch. HOOK is code at every update, GET code for every batch.
local SCRIPT = [[
local experiment, data, train = require 'experiment', require 'data', require 'train'
local torch, nn, host = require 'torch', require 'nn', require 'host'
local cfg = experiment.config { train = { epochs = 2, seed = 1 }, optim = { lr = 1e-2 } }
local x = torch.randn { 8, 3 }
local set = data.custom { count = 20, rows = 8, get = function(i)
  GET
  return x, x:sum { dim = 1, keepdim = true }
end }
local function fit()
  return train.fit { model = nn.Linear { 3, 1 }, data = set, options = cfg.train, optim = cfg.optim,
    loss = function(m, a, b) return torch.mse_loss(m(a), b) end, callbacks = { { on_step = function(ctx, record)
      HOOK
    end } } }
end
]]

local function script(parts)
  local given = { GET = parts.GET or '', HOOK = parts.HOOK or '' }
  return SCRIPT:gsub('%u%u%u+', given) .. (parts.tail or "print(fit().state)")
end

local QUICK = { 'watchdog.min_s=2', 'watchdog.first_s=60', 'watchdog.grace_s=1' }

local function run(parts, ...)
  local words = { unpack(QUICK) }
  for _, word in ipairs { ... } do words[#words + 1] = word end
  return runs.run(script(parts), unpack(words))
end

-- Processes of a watchdog for run directories of this test, or for those of one process.
local function watchdogs(pid)
  local found = 0
  for _, id in ipairs(host.listdir '/proc') do
    local file = id:match '^%d+$' and io.open('/proc/' .. id .. '/cmdline', 'rb')
    local words = file and file:read '*a' or ''
    if file then file:close() end
    local of = words:match 'watchdog%z%-%-pid%z(%d+)%z'
    if of and words:find(runs.root, 1, true) and (not pid or tonumber(of) == pid) then found = found + 1 end
  end
  return found
end

local function wait_until_none_is_left()
  t.wait_until('the end of every watchdog', function() return watchdogs() == 0 end)
end

-- What every stall must leave. Gives exit.json and the text of the stacks.
local function expect_stall(ran, step)
  t.is_true(ran.code == 7 or ran.code == 137, 'exit code ' .. ran.code)
  local exit, guard = ran.exit, ran.lines.guard[1]
  t.fields(exit, { state = 'STALLED', code = 7, step = step })
  t.equal(#ran.lines.guard, 1)
  t.fields(guard, { id = 'G11', step = step, phase = 'train', action = 'stop' })
  t.is_true(guard.waited_s > guard.budget_s and guard.waited_s < 2 * guard.budget_s + 20, 'waited ' .. guard.waited_s)
  t.matches(guard.message,
    '^G11 stall: no progress for %S+ s in train at step ' .. step .. ', budget %S+ s %(.*%); stacks in /')
  t.contains(ran.output, guard.message)
  t.contains(runs.read(ran.folder .. '/stdout.log'), guard.message)
  t.fields(exit.guards[1], { id = 'G11', level = 'error' })
  t.contains(runs.read(('%s/%s/tasks.txt'):format(ran.folder, guard.evidence)), 'runner')
  t.contains(runs.read(('%s/%s/status'):format(ran.folder, guard.evidence)), 'VmHWM')
  t.equal(runs.json(('%s/%s/stall.json'):format(ran.folder, guard.evidence)).step, step)
  local stacks = runs.read(('%s/%s'):format(ran.folder, guard.stacks))
  t.contains(stacks, ', the main one\n  #0')
  t.matches(stacks, 'end\n$')
  wait_until_none_is_left()
  local listed = runs.command('ls', ran.name)
  t.matches(listed, 'STALLED%s+' .. step)
  return exit, stacks
end

t.test('guard G11: a callback that never ends, compiled, is stopped with its stacks', function()
  local ran = run { HOOK = 'if record.step == 3 then local n = 0 while true do n = n + 1 end end' }
  local exit, stacks = expect_stall(ran, 3)
  t.matches(stacks, '\nLua\n  %S*run%d+%.lua:12: in [^\n]*function[^\n]* of lines 11%-13\n')
  t.contains(stacks, "in function 'fit'")
  t.equal(exit.phase, 'train')
end)

t.test('a callback that never ends, interpreted, is stopped too', function()
  local ran = run { HOOK = [[
jit.off(true, true) local s = "" if record.step == 3 then while true do s = s:sub(1, 2) end end]] }
  local _, stacks = expect_stall(ran, 3)
  t.matches(stacks, '%S*run%d+%.lua:?%d*: in [^\n]*function[^\n]* of lines 11%-13\n')
end)

t.test('a callback that sleeps is stopped', function()
  local _, stacks = expect_stall(run { HOOK = 'while record.step == 3 do host.sleep(60) end' }, 3)
  t.matches(stacks, "\nLua\n  %[C%]: in function 'sleep'\n  %S*run%d+%.lua:12: in [^\n]*function")
  t.contains(stacks, 'nanosleep')
end)

t.test('a run in a folder whose name is not UTF-8 is ended and closed too', function()
  local path = runs.write('odd.lua', script { HOOK = 'while record.step == 3 do host.sleep(60) end' })
  local output, code = t.shell(('RUNNER_RESULTS_DIR=%s %s %s %s'):format(t.quote(runs.root .. '/caf\233'), runs.RUNNER,
    path, table.concat(QUICK, ' ')))
  t.is_true(code == 7 or code == 137, output)
  local folder = runs.root .. '/caf\233/odd/latest'
  t.fields(runs.json(folder .. '/exit.json'), { state = 'STALLED', code = 7, step = 3 })
  local guard = runs.metrics(folder .. '/metrics.jsonl').guard[1]
  t.contains(guard.message, '/caf\\xE9/odd/')
  t.is_true(require('files').is_utf8(runs.read(folder .. '/exit.json')), 'exit.json is UTF-8')
  t.is_true(require('files').is_utf8(runs.read(folder .. '/metrics.jsonl')), 'metrics.jsonl is UTF-8')
  wait_until_none_is_left()
end)

t.test('data that never come are a stall', function()
  local _, stacks = expect_stall(run { GET = 'while i == 5 do host.sleep(60) end' }, 5)
  t.matches(stacks, "sleep'\n  %S*run%d+%.lua:6: in a function of lines 5%-8\n")
end)

t.test('a process stopped from outside is woken for its stacks and leaves by itself', function()
  local folder = runs.root .. '/results/stopped/latest'
  local path = runs.write('stopped.lua', script { HOOK = 'host.sleep(0.02)' })
  local process = runs.start { path, 'train.epochs=100000', unpack(QUICK) }
  process:wait_for_text(folder .. '/metrics.jsonl', '"step":5,')
  process:signal 'STOP'
  local output, code = process:wait()
  t.equal(code, 7, output)
  local ran = runs.latest 'stopped'
  t.fields(ran.exit, { code = 7, state = 'STALLED' })
  t.equal(ran.exit.guards[1].id, 'G11')
  t.contains(ran.exit.reason, 'the watchdog saw no progress')
  t.equal(#ran.lines.guard, 1)
  t.equal(ran.lines.guard[1].id, 'G11')
  t.matches(runs.read(('%s/%s'):format(ran.folder, ran.lines.guard[1].stacks)), 'end\n$')
  t.is_true(host.stat(ran.folder .. '/model.safetensors') ~= nil, 'saved')
  wait_until_none_is_left()
end)

t.test('with watchdog.off nobody watches, nor in a fast development run', function()
  local count = [[if record.step == 1 then
    local found = 0
    for _, id in ipairs(host.listdir '/proc') do
      local file = id:match '^%d+$' and io.open('/proc/' .. id .. '/cmdline', 'rb')
      if file and (file:read '*a' or ''):find('watchdog%z%-%-pid%z' .. host.pid() .. '%z') then found = found + 1 end
    end
    print('watchdogs', found)
  end]]
  t.contains(run({ HOOK = count }).output, 'watchdogs\t1\n')
  t.contains(run({ HOOK = count }, 'watchdog.off=true').output, 'watchdogs\t0\n')
  t.contains(run({ HOOK = count }, '--fast-dev-run').output, 'watchdogs\t0\n')
  local busy = 'if record.step == 3 then local s = host.now() while host.now() < s + 1.5 do end end'
  local ran = run({ HOOK = busy }, 'watchdog.off=true', 'watchdog.min_s=0.2', 'watchdog.stall_s=0.2')
  t.equal(ran.code, 0, ran.output)
  t.equal(#ran.lines.guard, 0)
end)

t.test('a callback that shows life may take long', function()
  local ran = run({ HOOK = 'if record.step == 3 then for _ = 1, 60 do host.sleep(0.05) ctx.tick() end end' })
  t.equal(ran.code, 0, ran.output)
  t.equal(#ran.lines.guard, 0)
end)

t.test('a training inside a callback is life of the outer one', function()
  local ran = run { HOOK = [[if record.step == 3 then
    train.fit { model = nn.Linear { 3, 1 }, data = set, options = { epochs = 3 }, optim = cfg.optim,
      loss = function(m, a, b)
        host.sleep(0.06)
        return torch.mse_loss(m(a), b)
      end }
  end]] }
  t.equal(ran.code, 0, ran.output)
  t.equal(#ran.lines.guard, 0)
end)

t.test('nobody is offered the command', function()
  t.is_false(t.shell(runs.RUNNER .. ' --help'):find('watchdog', 1, true))
  local output, code = t.shell(runs.RUNNER .. ' watchdog')
  t.equal(code, 2, output)
  t.contains(output, 'train.fit starts it')
end)

t.test('each run of a script has its own watchdog, and it ends with the run', function()
  local ran = run { tail = [[
local function count()
  local found = 0
  for _, id in ipairs(host.listdir '/proc') do
    local file = id:match '^%d+$' and io.open('/proc/' .. id .. '/cmdline', 'rb')
    if file and (file:read '*a' or ''):find('watchdog%z%-%-pid%z' .. host.pid() .. '%z') then found = found + 1 end
  end
  return found
end
for _ = 1, 3 do
  fit()
  local left
  for _ = 1, 400 do
    left = count()
    if left == 0 then break end
    host.sleep(0.02)
  end
  print('left', left)
end]] }
  t.equal(ran.code, 0, ran.output)
  local _, times = ran.output:gsub('left\t0\n', '')
  t.equal(times, 3, ran.output)
  t.is_false(ran.output:find 'left\t[^0]', ran.output)
end)

t.test('a watchdog ends with a process that was killed, whose run is dead', function()
  local folder = runs.root .. '/results/killed/latest'
  local path = runs.write('killed.lua', script { HOOK = 'host.sleep(0.02)' })
  local process = runs.start { path, 'train.epochs=100000', unpack(QUICK) }
  process:wait_for_text(folder .. '/metrics.jsonl', '"step":5,')
  process:signal 'KILL'
  process:wait()
  wait_until_none_is_left()
  t.equal(host.stat(folder .. '/exit.json'), nil)
  t.contains((runs.command('ls', 'killed')), 'dead')
end)

t.test('on_stall=resume starts the resume command once the run is closed', function()
  t.shell('mkdir -p ' .. runs.root .. '/library/commands')
  runs.write('library/commands/resume.lua', [[
local resume = { summary = 'Notes what it was asked.' }
function resume.configure(parser) parser:argument 'run' end
function resume.run(args)
  local file = io.open(args.run .. '/resumed', 'w')
  file:write(require('runs.files').read_json(args.run .. '/exit.json').state)
  file:close()
  return 0
end
return resume]])
  local ran = run({ HOOK = 'while record.step == 3 do host.sleep(60) end' }, 'watchdog.on_stall=resume', '--scripts',
    runs.root .. '/library')
  wait_until_none_is_left()
  local note = ran.folder .. '/resumed'
  t.wait_until('the note of the resume command', function() return host.stat(note) and runs.read(note) ~= '' end)
  t.equal(runs.read(note), 'STALLED')
  t.equal(ran.lines.guard[1].action, 'resume')
end)

t.test('on_stall=resume goes on from the newest checkpoint', function()
  local mark = runs.root .. '/hung'
  local ran = run({ HOOK = ([[if record.step == 3 and not host.stat '%s' then
    io.open('%s', 'w'):close()
    while true do host.sleep(60) end
  end]]):format(mark, mark) }, 'watchdog.on_stall=resume', 'checkpoint.every.steps=1')
  t.is_true(ran.code == 7 or ran.code == 137, 'exit code ' .. ran.code)
  t.wait_until('the end of both attempts', function()
    return host.stat(ran.folder .. '/exit.1.json') and host.stat(ran.folder .. '/exit.json')
  end)
  local first, second = runs.json(ran.folder .. '/exit.1.json'), runs.json(ran.folder .. '/exit.json')
  t.equal(first.state, 'STALLED')
  t.fields(second, { state = 'FINISHED', step = 40, attempt = 2 })
  local lines = runs.metrics(ran.folder .. '/metrics.jsonl')
  t.equal(#lines.guard, 1)
  t.equal(lines.resume[1].step, 2)
  wait_until_none_is_left()
end)
