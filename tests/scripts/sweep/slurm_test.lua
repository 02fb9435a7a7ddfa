-- Sweeps as job arrays, on a real Slurm of one node.
local host = require 'host'
local postgres = require 'testing.postgres'
local runs = require 'testing.runs'
local slurm_cluster = require 'testing.slurm'
local sweeps = require 'testing.sweeps'
local t = require 'testing'

local script = runs.write('small.lua', sweeps.SCRIPT)
local missing = slurm_cluster.missing()
local slurm = not missing and slurm_cluster.start { max_array = 3 }

local test = t.test_unless(missing)

-- The runner's words with this Slurm in reach.
local function sweep(...)
  local words = { 'sweep', ... }
  for i, word in ipairs(words) do words[i] = t.quote(word) end
  return slurm.call(('RUNNER_RESULTS_DIR=%s/results %s %s'):format(runs.root, runs.RUNNER, table.concat(words, ' ')))
end

local cells = sweeps.cells

local function numbers(name)
  return (runs.command('sweep', 'top', name, '--all'))
end

test('a sweep that was half done here is finished by Slurm, in arrays as large as the site allows', function()
  local words = { script, 'optim.lr=0.01,0.02,0.03,0.04,0.05,0.06', '--name' }
  t.equal(select(2, sweep(words[1], words[2], words[3], 'here', '-j', '2')), 0)
  local pool = runs.start { 'sweep', words[1], words[2], words[3], 'both', '-j', '1' }
  pool:wait_until('two cells that are done', function()
    local done = 0
    for _, cell in ipairs(cells 'both') do done = done + (cell.state == 'done' and 1 or 0) end
    return done >= 2
  end)
  pool:signal 'KILL'
  pool:wait()
  local output, code = sweep(words[1], words[2], words[3], 'both', '--launcher', 'slurm')
  t.equal(code, 0, output)
  for _, cell in ipairs(cells 'both') do t.fields(cell, { state = 'done' }, output) end
  t.equal(numbers 'both', numbers 'here')
  local folder = runs.root .. '/results/small/sweep-both/slurm'
  t.is_true(host.stat(folder .. '/array-1.json') ~= nil, output)
  for _, name in ipairs(host.listdir(folder)) do
    if name:find '%.json$' then t.is_true(#runs.json(folder .. '/' .. name).cells <= 3, name) end
  end
end)

test('a job that Slurm asks to leave saves, is started again and goes on from its checkpoint', function()
  local command = ('RUNNER_RESULTS_DIR=%s/results %s sweep %s seeds=1 test.sleep=0.5 --name asked --launcher slurm')
    :format(runs.root, runs.RUNNER, script)
  local watch = require('testing.processes').start(('exec env %s %s'):format(slurm.environment, command),
    runs.root .. '/asked')
  local id, job
  watch:wait_until('a cell that trains', function()
    local cell = cells('asked')[1]
    local now = cell and sweeps.progress(runs.root .. '/results/small/sweep-asked', cell)
    if not now or now.step < 2 then return false end
    id = cell.id
    return true
  end)
  job = runs.json(runs.root .. '/results/small/sweep-asked/slurm/array-1.json').job
  slurm.call(('scancel --batch --signal=USR2 %s_0'):format(job))
  local folder = ('%s/results/small/sweep-asked/cells/%s'):format(runs.root, id)
  watch:wait_until('the end of the first attempt', function() return host.stat(folder .. '/claim-1/exit.json') end)
  t.fields(runs.json(folder .. '/claim-1/exit.json'), { code = 75, state = 'PREEMPTED', reason = 'preempted' })
  watch:wait_until('a second attempt', function()
    -- A job that is started again waits for two minutes, unless somebody is impatient.
    slurm.call(('scontrol update JobId=%s StartTime=now; sleep 1'):format(job))
    return host.stat(folder .. '/claim-2')
  end)
  local output, code = watch:wait()
  t.equal(code, 0, output)
  local cell = cells('asked')[1]
  t.fields(cell, { state = 'done', attempt = 2 }, output)
  local whole = runs.run(runs.read(script))
  t.equal(cell.exit.summary, whole.exit.summary)
end)

test('what the jobs leave undone is told, with its exit code', function()
  local output, code = sweep(script, 'train.epochs=3,0', '--name', 'bad', '--launcher', 'slurm')
  t.equal(code, 8, output)
  t.contains(output, 'failed')
  local states = {}
  for _, cell in ipairs(cells 'bad') do states[#states + 1] = cell.state end
  t.equal(states, { 'done', 'failed' }, output)
end)

test('jobs take their cells in a study too, and stop ends them', function()
  if postgres.missing() then t.skip(postgres.missing()) end
  local server = postgres.start()
  local environment = ('RUNNER_STUDY_URL=%s RUNNER_RESULTS_DIR=%s/results'):format(t.quote(server.url), runs.root)
  local function command(...)
    return ('%s %s sweep %s'):format(environment, runs.RUNNER, table.concat({ ... }, ' '))
  end
  local output, code = slurm.call(command(script, 'optim.lr=0.01,0.02', '--name', 'shared', '--launcher', 'slurm'))
  t.equal(code, 0, output)
  t.equal(server:sql "SELECT state, attempt FROM lanthorn_cell WHERE sweep = 'small/sweep-shared'", 'done|1\ndone|1')
  local watch = require('testing.processes').start(('exec env %s %s'):format(slurm.environment, command(script,
    'optim.lr=0.01,0.02,0.03', 'test.sleep=1', '--name', 'halt', '--launcher', 'slurm')), runs.root .. '/halt')
  watch:wait_until('cells that train', function()
    local training = 0
    for _, cell in ipairs(cells 'halt') do
      local now = sweeps.progress(runs.root .. '/results/small/sweep-halt', cell)
      training = training + (now and now.step >= 2 and 1 or 0)
    end
    return training == 2
  end)
  output, code = slurm.call(command('stop', 'halt'))
  t.equal(code, 0, output)
  output, code = watch:wait()
  t.equal(code, 130, output)
  t.wait_until('cells that saved', function()
    return server:sql "SELECT DISTINCT state FROM lanthorn_cell WHERE sweep = 'small/sweep-halt'" == 'stopped'
  end)
end)

t.test('without Slurm nothing starts', function()
  local output, code = t.shell(('RUNNER_RESULTS_DIR=%s/results PATH=/nowhere %s sweep %s seeds=1 --name none '
    .. '--launcher slurm'):format(runs.root, runs.RUNNER, script))
  t.equal(code, 9, output)
  t.contains(output, 'there is no sbatch in PATH')
  t.equal(host.stat(runs.root .. '/results/small/sweep-none'), nil)
  output, code = runs.command('sweep', script, 'seeds=1', '--launcher', 'slrm')
  t.equal(code, 2, output)
  t.contains(output, "launcher 'slrm' is not known; nearest: slurm")
end)
