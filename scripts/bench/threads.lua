-- One against all threads, and the default settings against hand-tuned ones; each in a runner of its own, in turn,
-- since OpenMP reads its environment once; P12 and P13.
local harness = require 'benchmark.harness'
local bench_peer = require 'benchmark.peer'
local host = require 'host'
local native = require 'boot.native'
local shell = require 'base.shell'

local workload = { summary = 'char-GRU step by threads and waiting, each in a runner of its own' }

local CLEAN = 'env -u OMP_WAIT_POLICY -u OMP_NUM_THREADS -u OMP_PROC_BIND -u OMP_PLACES -u GOMP_CPU_AFFINITY -u '
  .. 'GOMP_SPINCOUNT'
local CODE = [[
local times = require('benchmark.char_rnn').steps('gru')(%d)
for _, ms in ipairs(times) do print('ms ' .. ms) end]]

-- Settings to compare: a name, an environment, options of the runner.
local function grid(cores, cpus)
  local found = {
    { name = 'default' },
    { name = '1 thread', options = '--threads 1', threads = 1 },
    { name = 'passive', environment = 'OMP_WAIT_POLICY=passive' },
    { name = 'active', environment = 'OMP_WAIT_POLICY=active' },
    { name = 'a longer spin', environment = 'OMP_WAIT_POLICY=passive GOMP_SPINCOUNT=20000' },
    { name = 'pinned', options = '--pin' },
    { name = 'pinned, active', options = '--pin', environment = 'OMP_WAIT_POLICY=active' },
  }
  if cpus > cores then
    found[#found + 1] = { name = 'every logical CPU', options = '--threads ' .. cpus, threads = cpus }
  end
  for _, setting in ipairs(found) do setting.threads = setting.threads or cores end
  return found
end

local function case_of(setting)
  local function run(steps)
    local command = ('%s %s %s %s run %s -q -e %s 2>&1'):format(bench_peer.on_all_cpus(), CLEAN,
      setting.environment or '', shell.quote(host.folder .. '/runner'), setting.options or '',
      shell.quote(CODE:format(steps)))
    local times, output = bench_peer.times(command)
    if #times == 0 then error(('bench threads: %s: %s'):format(setting.name, output), 0) end
    return times
  end
  return { name = setting.name, run = run, flop = require('benchmark.char_rnn').flop 'gru' }
end

function workload.run(context)
  local budget = host.cpu_budget()
  local settings, cases = grid(native.settings().cores, budget.cpus), {}
  for i, setting in ipairs(settings) do cases[i] = case_of(setting) end
  local rows = harness.interleave(context, cases)
  local best
  for i, row in ipairs(rows) do
    row.threads, row.environment, row.options = settings[i].threads, settings[i].environment, settings[i].options
    if not best or row.ours_ms < best.ours_ms then best = row end
  end
  local several = native.settings().cores > 1
  return { rows = rows, bars = {
    harness.bar('P12', ('1 thread / %d threads'):format(settings[1].threads), several and harness.ratio(rows[2].ours_ms,
      rows[1].ours_ms) or nil, { accept = 1.7, aim = 1.9 }),
    harness.bar('P13', ("default / best ('%s')"):format(best.name), harness.ratio(rows[1].ours_ms, best.ours_ms),
      { accept = 1.10, aim = 1.03, less = true }),
  } }
end

return workload
