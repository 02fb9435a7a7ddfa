-- runner fsck: what it finds in run directories, what it repairs and what it removes.
local dkjson = require 'dkjson'
local host = require 'host'
local runs = require 'testing.runs'
local t = require 'testing'

local SCRIPT = [[
local data, train, torch, nn = require 'data', require 'train', require 'torch', require 'nn'
local cfg = require('experiment').config { train = { epochs = 3 } }
local x = torch.randn { 24, 3 }
local net = nn.Sequential { nn.Linear { 3, 3 } }
train.fit { model = net, data = data.tensors { x = x, y = x:argmax { dim = 1 }, batch = 4 }, options = cfg.train,
  eval = { off = true }, checkpoint = { every = { steps = 2 }, keep_last = 3 }, guards = { init_loss = 'off' } }]]

local function fresh()
  local ran = runs.run(SCRIPT, '-q')
  t.equal(ran.code, 0, ran.output)
  return ran
end

-- fsck of one run with these options: its report and exit code.
local function fsck(ran, ...)
  local output, code = runs.command('fsck', ran.name, '--json', ...)
  return assert(dkjson.decode((output:match '{[^\n]*}'))), code
end

t.test('a sound run is ok and tells where it resumes', function()
  local ran = fresh()
  local report, code = fsck(ran)
  t.equal(code, 0, report)
  t.fields(report, { problems = {}, state = 'FINISHED', newest = 'step-00000018', wasted = {} })
  local output
  output, code = runs.command('fsck', ran.name)
  t.equal(code, 0, output)
  t.matches(output, '^ok%s+' .. ran.name .. '/%S+  FINISHED, resumes from step%-00000018\n')
  t.contains(output, '1 run, 0 with problems, 0.0 MB to prune')
end)

t.test('every damaged file is a problem by name, exit 5', function()
  for _, case in ipairs {
    { 'config.json', 'config.json is not what the manifest recorded (config_hash)',
      '{"format":1,"values":{"a":1},"origin":{}}' },
    { 'src/%s.lua', 'src/ is not what the manifest recorded (source_hash)', 'print 1' },
    { 'status.json', 'status.json is not a JSON object', '{' },
    { 'metrics.jsonl', 'line 1 is not a JSON object', 'nonsense\n{}\n' },
  } do
    local ran = fresh()
    local file = assert(io.open(('%s/%s'):format(ran.folder, case[1]:format(ran.name)), 'wb'))
    file:write(case[3])
    file:close()
    local report, code = fsck(ran)
    t.equal(code, 5, report)
    t.contains(report.problems[1], case[2])
  end
end)

t.test('links that point at nothing or at damage are repaired', function()
  local ran = fresh()
  t.shell(('cd %s/checkpoints && ln -sfn step-99999999 latest && truncate -s 9 step-00000018/state.json')
    :format(ran.folder))
  local report, code = fsck(ran)
  t.equal(code, 5, report)
  t.equal(report.newest, 'step-00000016')
  t.matches(table.concat(report.problems, '\n'), "the link 'latest' points at 'step%-99999999', which is not there")
  report = fsck(ran, '--repair')
  t.contains(table.concat(report.done, '\n'), "repaired: 'latest' points at step-00000016")
  t.contains(table.concat(report.done, '\n'), "removed the link 'best', whose checkpoint is lost")
  report, code = fsck(ran, '--prune')
  t.equal(code, 5) -- what was found is told once more
  t.contains(report.done[1], 'step-00000018')
  report, code = fsck(ran)
  t.equal(code, 0, report)
  t.equal(report.problems, {})
end)

t.test('what dead processes left is waste until it is pruned', function()
  local ran = fresh()
  local left = ran.folder .. '/checkpoints/step-00000040.tmp-99999999'
  t.shell(('mkdir %s && head -c 1000 /dev/zero >%s/x'):format(left, left))
  local report = fsck(ran)
  t.fields(report, { wasted = { 'step-00000040.tmp-99999999' }, wasted_bytes = 1000 })
  t.contains(fsck(ran, '--prune').done[1], 'step-00000040.tmp-99999999')
  t.equal(fsck(ran).wasted, {})
end)

t.test('a run whose process is gone is a problem, and closed on request', function()
  local ran = fresh()
  os.remove(ran.folder .. '/exit.json')
  local status = runs.json(ran.folder .. '/status.json')
  status.state, status.pid = 'RUNNING', 99999999
  local file = assert(io.open(ran.folder .. '/status.json', 'wb'))
  file:write(dkjson.encode(status))
  file:close()
  local report, code = fsck(ran)
  t.equal(code, 5, report)
  t.equal(report.state, 'dead')
  t.contains(report.problems[1], 'its process is gone without an exit.json; resume it, or close it with --repair')
  report = fsck(ran, '--repair')
  t.fields(report, { state = 'FAILED', problems = {} })
  t.equal(runs.json(ran.folder .. '/exit.json').state, 'FAILED')
  t.equal(fsck(ran).state, 'FAILED')
end)

t.test('no runs, and no such run, are exit 2', function()
  local output, code = t.shell(('RUNNER_RESULTS_DIR=%s/none %s fsck'):format(runs.root, runs.RUNNER))
  t.equal(code, 2, output)
  t.contains(output, 'fsck: there are no runs in')
  output, code = runs.command('fsck', 'nonsense')
  t.equal(code, 2, output)
  t.contains(output, "run 'nonsense'")
  t.is_true(host.stat(runs.root) ~= nil)
end)
