-- Slurm, called as programs: sbatch, squeue, scontrol, scancel.
local fail = require 'fail'
local host = require 'host'
local shell = require 'base.shell'

local slurm = {}

local MACHINE = 9

local function call(...)
  local words = { ... }
  for i, word in ipairs(words) do words[i] = shell.quote(tostring(word)) end
  return shell.output(table.concat(words, ' '))
end

local function checked(...)
  local output, code = call(...)
  if code ~= 0 then fail.raise(MACHINE, '%s: %s', (...), (output:gsub('%s+$', ''):gsub('\n', '; '))) end
  return output
end

---Raises (exit 9) unless Slurm's programs are there and its controller answers.
function slurm.check()
  for _, program in ipairs { 'sbatch', 'squeue', 'scontrol', 'scancel' } do
    if not shell.has(program) then
      fail.raise(MACHINE, "--launcher slurm: there is no %s in PATH; run this where jobs are submitted, or use "
        .. '--launcher local', program)
    end
  end
  checked('scontrol', 'ping')
end

---What the site sets. Jobs of an array have numbers below max_array; requeue_exits are the exit codes after which Slurm
---starts a job again by itself.
---@return { max_array: integer, requeue_exits: table<integer, boolean> }
function slurm.site()
  local config, exits = checked('scontrol', 'show', 'config'), {}
  for code in (config:match 'RequeueExit%s*=%s*([^\n]*)' or ''):gmatch '%d+' do exits[tonumber(code)] = true end
  return { max_array = tonumber(config:match 'MaxArraySize%s*=%s*(%d+)') or 1001, requeue_exits = exits }
end

---Submits a script as an array of `count` jobs.
---@param script string its path
---@param count integer
---@param options string[] of sbatch
---@return string job its id
function slurm.submit(script, count, options)
  local words = { 'sbatch', '--parsable', ('--array=0-%d%s'):format(count - 1, options.parallel or '') }
  for _, option in ipairs(options) do words[#words + 1] = option end
  words[#words + 1] = script
  local output = checked(unpack(words))
  return output:match '(%d+)' or fail.raise(MACHINE, 'sbatch gave no job id: %s', output)
end

---The numbers of an array's jobs that wait, run, or end: one that is started again is COMPLETING before it waits.
---@param job string
---@return table<integer, string> states by number
function slurm.queued(job)
  local output, code = call('squeue', '-h', '-r', '-j', job, '-o', '%K %T')
  local found = {}
  if code ~= 0 then -- a job that is gone for long is not an error
    if output:find 'Invalid job id' then return found end
    fail.raise(MACHINE, 'squeue: %s', output)
  end
  for number, state in output:gmatch '(%d+) (%u+)' do found[tonumber(number)] = state end
  return found
end

---Asks jobs of an array that run to save and leave, and takes those that wait from the queue.
---@param job string
---@param states table<integer, string> of slurm.queued
function slurm.stop(job, states)
  local waiting, running = { 'scancel' }, { 'scancel', '--batch', '--signal=TERM' } -- without a signal they are killed
  for number, state in pairs(states) do
    local words = state == 'PENDING' and waiting or state == 'RUNNING' and running or {}
    words[#words + 1] = ('%s_%d'):format(job, number)
  end
  if #waiting > 1 then checked(unpack(waiting)) end
  if #running > 3 then checked(unpack(running)) end
end

---The job that this process alone is, as the script of an array says; nil for others, such as the workers of a pool
---within a job.
---@return string?
function slurm.own_job()
  return host.getenv 'RUNNER_JOB'
end

-- Seconds of "1-02:03:04", "02:03:04" or "03:04".
local function seconds_of(text)
  local days, rest = text:match '^(%d+)%-(.*)$'
  local seconds = 0
  for part in (rest or text):gmatch '%d+' do seconds = seconds * 60 + tonumber(part) end
  return seconds + (tonumber(days) or 0) * 86400
end

---Seconds until the time limit of this process' job; nil when there is none, or when it is not known.
---@return number?
function slurm.time_left()
  local output, code = call('squeue', '-h', '-j', slurm.own_job(), '-o', '%L')
  local text = code == 0 and output:match '^(%d[%d:-]*)'
  return text and seconds_of(text) or nil
end

---Has this process' job started again, unless the site does so by itself.
---@param code integer the exit code
---@return boolean ok, string said
function slurm.requeue(code)
  local ok, site = pcall(slurm.site)
  if ok and site.requeue_exits[code] then return true, '' end
  local output, failed = call('scontrol', 'requeue', slurm.own_job())
  return failed == 0, (output:gsub('%s+$', ''))
end

return slurm
