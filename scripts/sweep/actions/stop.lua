-- runner sweep stop [SWEEP]: its cells save and leave, and no further one starts, on any machine.
local cells = require 'sweep.cells'
local console = require 'console'
local fail = require 'fail'
local host = require 'host'
local look = require 'sweep.study.look'
local plan = require 'sweep.planning.plan'
local pretty = require 'pretty'
local read_file = require 'base.read_file'
local room = require 'base.room'
local run_files = require 'runs.files'
local stopping = require 'sweep.stopping'

local action = {}

local MACHINE = 9

-- Whether a worker's pool is gone: then nobody passes the request on to it. A job has its launcher's signal; with a
-- second one it would not save.
local function is_orphan(pid)
  local environment = read_file(('/proc/%d/environ'):format(pid)) or ''
  if environment:find '%f[%w]RUNNER_JOB=[^%z]' then return false end
  local stat = read_file(('/proc/%d/stat'):format(pid))
  local parent = stat and stat:match '.*%) %a (%d+)'
  return parent ~= nil and not run_files.is_runner(tonumber(parent))
end

function action.run(found)
  local running, study, silence = {}, look(found.path)
  for _, cell in ipairs(plan.read(found.path).cells) do
    local now = cells.now(found.path, cell.id)
    if now.state == 'running' then running[#running + 1] = now end
  end
  stopping.ask(found.path)
  if study then
    local ok, problem = study:stop()
    silence = not ok and problem or nil
  end
  for _, now in ipairs(running) do
    if now.host == host.hostname() and is_orphan(now.pid) then host.kill(now.pid, 'TERM') end
  end
  for _, name in ipairs(room.names 'sweep/launchers') do
    local launcher = require('sweep.launchers.' .. name)
    if launcher.stop then launcher.stop(found.path) end
  end
  if silence then fail.raise(MACHINE, 'this machine stops, the others cannot be asked: %s', silence) end
  console.note(#running == 0 and 'no cell runs now; pools that wait stop too'
    or ('%s asked to save and leave'):format(pretty.plural(#running, 'cell was', 'cells were')))
  return 0
end

return action
