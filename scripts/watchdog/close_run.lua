-- What the watchdog does about a stall: keeps the evidence, has the stacks printed, ends the process and closes the
-- run.
local dkjson = require 'dkjson'
local encoding = require 'base.encoding'
local host = require 'host'
local read_file = require 'base.read_file'
local stall = require 'watchdog.stall'
local watchdog = require 'watchdog.start'

local stall_end = {}

local STACKS_S = 10  -- for the process to print its stacks
local LEAVE_S = 5    -- from the second request, and from SIGKILL, to the end
local TICK_S = 0.02
local STALLED = 7

local function write(path, text)
  local file = io.open(path, 'wb')
  if not file then return end
  file:write(text)
  file:close()
end

local function field(status, name)
  return status and status:match('\n' .. name .. ':%s*([^\n]*)')
end

---Whether a debugger holds the process: then its silence is wanted.
---@param pid integer
---@return boolean
function stall_end.is_debugged(pid)
  return (tonumber(field(read_file(('/proc/%d/status'):format(pid)), 'TracerPid')) or 0) ~= 0
end

local function state_of(pid)
  return field(read_file(('/proc/%d/status'):format(pid)), 'State')
end

-- A zombie is gone too.
local function is_gone(pid)
  local state = state_of(pid)
  return state == nil or state:find('^[ZX]') ~= nil
end

-- Waits until done() or for so many seconds; whether it was done.
local function wait(seconds, done)
  local from = host.now()
  while not done() do
    if host.now() - from > seconds then return false end
    host.sleep(TICK_S)
  end
  return true
end

-- One line for each thread: what it is called, whether it runs, where in the kernel it waits.
local function tasks(pid)
  local lines = {}
  for _, id in ipairs(host.listdir(('/proc/%d/task'):format(pid)) or {}) do
    local at = ('/proc/%d/task/%s/'):format(pid, id)
    local function first(name) return ((read_file(at .. name) or '?'):match('^[^\n]*')) end
    local state = field(read_file(at .. 'status'), 'State') or '?'
    lines[#lines + 1] = ('%-8s %-16s %-14s %-24s %s'):format(id, first 'comm', state, first 'wchan', first 'syscall')
  end
  return table.concat(lines, '\n') .. '\n'
end

-- Keeps what /proc says of the process. Gives the folder, below the run's.
local function keep_evidence(run, pid, progress, verdict, milliseconds)
  host.mkdir(run .. '/dumps')
  local name = ('dumps/stall-%d'):format(milliseconds)
  host.mkdir(run .. '/' .. name)
  local folder = run .. '/' .. name .. '/'
  write(folder .. 'stall.json', dkjson.encode({ phase = progress.phase, step = progress.step, done = progress.done,
    of = progress.of, waited_s = verdict.waited_s, budget_s = verdict.budget_s, why = verdict.why, pid = pid,
    slowest_step_s = progress.slowest_step_s, slowest_eval_s = progress.slowest_eval_s,
    slowest_save_s = progress.slowest_save_s }, { indent = true }) .. '\n')
  for _, file in ipairs { 'status', 'wchan', 'stack', 'stat', 'io' } do
    local text = read_file(('/proc/%d/%s'):format(pid, file))
    if text and text ~= '' then write(folder .. file, text) end
  end
  write(folder .. 'tasks.txt', tasks(pid))
  return name
end

-- The dump of SIGQUIT that was made at or after a time, once it is whole; below the run's folder.
local function find_stacks(run, since_ms, whole)
  for _, name in ipairs(host.listdir(run .. '/dumps') or {}) do
    local made = tonumber(name:match('^stacks%-(%d+)%.txt$'))
    if made and made >= since_ms and (not whole or (read_file(run .. '/dumps/' .. name) or ''):find('\nend\n$')) then
      return 'dumps/' .. name
    end
  end
  return nil
end

local function ask_for_stacks(run, pid, since_ms)
  host.kill(pid, 'QUIT')
  if (state_of(pid) or ''):find('^T') then host.kill(pid, 'CONT') end -- stopped: it could not answer
  wait(STACKS_S, function() return find_stacks(run, since_ms, true) ~= nil or is_gone(pid) end)
  return find_stacks(run, since_ms, false)
end

local function events_of(run)
  local events = {}
  for line in (read_file(run .. '/metrics.jsonl') or ''):gmatch('[^\n]+') do
    if line:find('"G11"', 1, true) then events[#events + 1] = dkjson.decode(line) end
  end
  return events
end

-- Tells people: on the stderr of the process, if it can still be reached, and in the run's log.
local function tell(run, pid, message)
  host.append(('/proc/%d/fd/2'):format(pid), 'error: ' .. message .. '\n')
  host.append(run .. '/stdout.log', 'error: ' .. message .. '\n')
end

local function cpu_seconds(pid)
  local stat = read_file(('/proc/%d/stat'):format(pid)) or ''
  local user, system = stat:match('^.*%)' .. (' %S+'):rep(11) .. ' (%d+) (%d+)')
  return user and (tonumber(user) + tonumber(system)) / 100 or nil
end

local function close_run(run, facts)
  host.close_run(run, dkjson.encode { state = 'STALLED', code = STALLED, reason = facts.message,
    phase = facts.progress.phase, step = facts.progress.step, cpu_s = facts.cpu_s, peak_rss_mb = facts.peak_rss_mb,
    guards = { { id = 'G11', level = 'error', name = 'stall', value = facts.verdict.waited_s,
      limit = facts.verdict.budget_s, message = facts.message } } })
end

-- Asks, asks again, and ends it. A process that answers the first request closes its run itself, may take its time
-- for that as long as it gets on, and lives on if its script wants that; else the run is closed before the process is
-- gone, so that whoever waits for the process finds it closed.
local function end_process(run, pid, grace_s, facts)
  local function gone() return is_gone(pid) end
  local function over() return gone() or host.stat(run .. '/exit.json') ~= nil end
  local function counter()
    local progress = host.read_progress(run .. '/.progress')
    return progress and progress.counter
  end
  local before = counter()
  host.kill(pid, 'TERM', watchdog.MARK)
  while not wait(grace_s, over) and counter() ~= before do before = counter() end
  if over() and not gone() then return end
  close_run(run, facts)
  if gone() then return end
  host.kill(pid, 'TERM', watchdog.MARK)
  if wait(LEAVE_S, gone) then return end
  host.kill(pid, 'KILL')
  wait(LEAVE_S, gone)
end

local function resume_words(run)
  if host.scripts then return { host.folder .. '/runner', '--scripts', host.scripts, 'resume', run } end
  return { host.folder .. '/runner', 'resume', run }
end

---Ends the run of a stalled process. Gives an exit code for the watchdog.
---@param args { pid: integer, run: string }
---@param config table
---@param progress table
---@param verdict table
---@return integer
function stall_end.run(args, config, progress, verdict)
  local run, pid = args.run, args.pid
  local since_ms = math.floor(host.unix_time() * 1000)
  local facts = { progress = progress, verdict = verdict, cpu_s = cpu_seconds(pid) }
  local peak_kb = tonumber((field(read_file(('/proc/%d/status'):format(pid)), 'VmHWM') or ''):match('%d+'))
  facts.peak_rss_mb = peak_kb and peak_kb * 1024 / 1e6
  local evidence = keep_evidence(run, pid, progress, verdict, since_ms)
  local stacks = ask_for_stacks(run, pid, since_ms)
  facts.message = encoding.escape(stall.message(verdict, progress, stacks and run .. '/' .. stacks), true)
  local action = stall.action(config, events_of(run))
  host.append(run .. '/metrics.jsonl', dkjson.encode { t = host.unix_time(), kind = 'event', event = 'guard',
    id = 'G11', level = 'error', name = 'stall', step = progress.step, phase = progress.phase,
    waited_s = verdict.waited_s, budget_s = verdict.budget_s, message = facts.message, action = action, stacks = stacks,
    evidence = evidence } .. '\n')
  tell(run, pid, facts.message)
  end_process(run, pid, config.grace_s, facts)
  if action == 'stop' then return 0 end
  -- A live process keeps its run: one whose script goes on, or one that the kernel holds against SIGKILL.
  if not wait(config.grace_s, function() return is_gone(pid) end) then return STALLED end
  host.companion(resume_words(run), false)
  return 0
end

return stall_end
