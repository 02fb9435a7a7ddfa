-- A Slurm of one node for tests: munged, slurmctld and slurmd of Debian's packages, in a folder of their own, ended
-- with the script. Nothing of a Slurm that the machine may have is touched.
--   local slurm = require 'testing.slurm'.start { max_array = 4 }
--   slurm.environment   what `env` sets for the programs that are to find it
local at_exit = require 'boot.at_exit'
local host = require 'host'
local testing = require 'testing'

local slurm = {}

local PROGRAMS = { 'munged', 'slurmctld', 'slurmd', 'sbatch', 'squeue', 'scontrol', 'scancel' }

---What is missing for a Slurm; nil when nothing is.
---@return string?
function slurm.missing()
  for _, program in ipairs(PROGRAMS) do
    if select(2, testing.shell(('PATH=$PATH:/usr/sbin command -v %s'):format(program))) ~= 0 then
      return ('there is no %s; scripts/setup --tests installs it'):format(program)
    end
  end
  return nil
end

-- Ports that a test beside this one does not take.
local function port(offset) return 20000 + (host.pid() * 4 + offset) % 20000 end

local CONFIG = [[
ClusterName=lanthorn
SlurmctldHost=%(host)s(127.0.0.1)
SlurmctldPort=%(ctld_port)d
SlurmdPort=%(d_port)d
AuthType=auth/munge
AuthInfo=socket=%(folder)s/munge.socket
CredType=cred/munge
SlurmUser=%(user)s
SlurmdUser=%(user)s
StateSaveLocation=%(folder)s/state
SlurmdSpoolDir=%(folder)s/spool
SlurmctldLogFile=%(folder)s/slurmctld.log
SlurmdLogFile=%(folder)s/slurmd.log
SlurmctldPidFile=%(folder)s/slurmctld.pid
SlurmdPidFile=%(folder)s/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MaxArraySize=%(max_array)d
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
NodeName=%(host)s NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
]]

---Starts it, and waits until it takes jobs.
---@param o { max_array: integer }
---@return { environment: string, call: fun(command: string): string, integer }
function slurm.start(o)
  local folder = testing.temporary_folder()
  local user = testing.shell('id -un'):match '%S+'
  local values = { host = host.hostname(), folder = folder, user = user, max_array = o.max_array, ctld_port = port(0),
    d_port = port(1) }
  local text = CONFIG:gsub('%%%((%w+_?%w*)%)[sd]', function(name) return tostring(values[name]) end)
  local file = assert(io.open(folder .. '/slurm.conf', 'w'))
  file:write(text)
  file:close()
  local environment = ('SLURM_CONF=%s/slurm.conf PATH=$PATH:/usr/sbin'):format(folder)
  local made = { environment = environment }
  function made.call(command) return testing.shell(('%s %s'):format(environment, command)) end
  local script = [[cd %s; mkdir state spool; chmod 755 .; head -c 1024 /dev/urandom >munge.key; chmod 400 munge.key
munged --force --socket=$PWD/munge.socket --key-file=$PWD/munge.key --pid-file=$PWD/munged.pid \
  --seed-file=$PWD/munge.seed --log-file=$PWD/munged.log && slurmctld && slurmd]]
  at_exit.add(function()
    made.call 'scancel --state=RUNNING,PENDING'
    for _, name in ipairs { 'slurmd', 'slurmctld', 'munged' } do
      testing.shell(('[ -f %s/%s.pid ] && kill $(cat %s/%s.pid)'):format(folder, name, folder, name))
    end
  end)
  local output, code = testing.shell(('export %s; %s'):format(environment, script:format(folder)))
  if code ~= 0 then error('no Slurm could be started: ' .. output, 0) end
  testing.wait_until('a node that takes jobs', function() return made.call('sinfo -h -o %T'):find 'idle' end, nil,
    function() return testing.shell(('tail -n 5 %s/*.log'):format(folder)) end)
  return made
end

return slurm
