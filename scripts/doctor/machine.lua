-- What `runner doctor` finds out about the machine: CPUs, threads, memory, disk. A check gets the context and returns a
-- finding { mark = "ok" | "warn" | "FAIL" | "none", text = lines, fix = commands that mend it?, data = for --json }.
local host = require 'host'
local pretty = require 'pretty'
local run_files = require 'runs.files'

local doctor_machine = {}

local plural = pretty.plural
local GIB, MIB = 2 ^ 30, 2 ^ 20
local DISK_FAIL, DISK_WARN, TMP_WARN = 256 * MIB, 2 * GIB, 256 * MIB
local MEMORY_FAIL, MEMORY_WARN = 256 * MIB, GIB
local SPINS_LONG = 1e6 -- of GOMP_SPINCOUNT: as good as active waiting

local function read(path, what)
  local file = io.open(path)
  if not file then return nil end
  local text = file:read(what or '*l')
  file:close()
  return text
end

---Bytes as text: "21.5 GiB".
---@param bytes number
---@return string
function doctor_machine.size(bytes)
  if bytes >= GIB then return ('%.1f GiB'):format(bytes / GIB) end
  return ('%.0f MiB'):format(bytes / MIB)
end

local size = doctor_machine.size

---CPU, cores, quota and how busy they are.
function doctor_machine.cpu(context)
  local machine, budget = context.machine, context.budget
  local quota = budget.quota and ('cgroup quota %s'):format(plural(budget.quota, 'CPU')) or 'no cgroup quota'
  local flags = #machine.flags > 0 and table.concat(machine.flags, ' ') or 'no AVX2'
  local finding = { mark = 'ok', text = { machine.cpu, ('%s, %s, %s, load %.1f; %s'):format(plural(budget.cores, 'core'),
    plural(budget.cpus, 'logical CPU'), quota, machine.load_average, flags) },
    data = { cpu = machine.cpu, cores = budget.cores, cpus = budget.cpus, quota = budget.quota, flags = machine.flags,
      load_average = machine.load_average } }
  if machine.load_average >= budget.cores + 1 then
    finding.mark = 'warn'
    finding.text[3] = 'the machine is busy: whatever is timed now is slower than it could be'
    finding.fix = { 'ps -eo pid,pcpu,etime,args --sort=-pcpu | head' }
  end
  return finding
end

-- Other runners that compute right now.
local function busy_runners()
  local count, own = 0, host.pid()
  for _, name in ipairs(host.listdir '/proc' or {}) do
    local pid = tonumber(name)
    if pid and pid ~= own and read(('/proc/%d/comm'):format(pid)) == 'runner' then
      local state = (read(('/proc/%d/stat'):format(pid)) or ''):match '^%d+ %b() (%a)'
      if state == 'R' then count = count + 1 end
    end
  end
  return count
end

local function undo(name, cores)
  return name == '--threads' and ('runner doctor --threads %d'):format(cores) or 'unset ' .. name
end

-- Whether threads that wait keep their core busy, and the variable that says so.
local function spinning(wait)
  if wait.value == 'active' then return 'OMP_WAIT_POLICY' end
  local spins = wait.spin and (wait.spin:lower():find '^inf' and math.huge or tonumber(wait.spin))
  return spins and spins >= SPINS_LONG and 'GOMP_SPINCOUNT' or nil
end

---Threads, wait policy and pinning, and where each came from.
function doctor_machine.threads(context)
  local s, load = context.settings, context.machine.load_average
  local count, cores = s.threads.value, s.cores
  local finding = { mark = 'ok', fix = {}, text = { ('%d (%s), waiting %s (%s), pinning %s (%s)'):format(count,
    s.threads.from, s.wait.value, s.wait.from, s.pinning.value, s.pinning.from) },
    data = { threads = count, threads_from = s.threads.from, wait_policy = s.wait.value, wait_policy_from = s.wait.from,
      pinning = s.pinning.value, pinning_from = s.pinning.from, cores = cores } }
  local function problem(mark, text, fix)
    if finding.mark ~= 'FAIL' then finding.mark = mark end
    finding.text[#finding.text + 1], finding.fix[#finding.fix + 1] = text, fix
  end
  local variable, crowded = spinning(s.wait), count > cores or load >= cores
  if variable then
    local effect = crowded and 'and take cores from those that work' or 'which is many times slower beside others'
    problem(crowded and 'FAIL' or 'warn', ('waiting threads spin (%s) %s'):format(variable, effect), undo(variable))
  end
  if count > cores then
    problem('warn', ('%s for %s: they wait for each other'):format(plural(count, 'thread'), plural(cores, 'core')),
      undo(s.threads.from, cores))
  end
  if s.threads.ignored then
    problem('warn', ("OMP_NUM_THREADS='%s' is not a thread count and is ignored"):format(s.threads.ignored), 'unset OMP_NUM_THREADS')
  end
  local others = busy_runners()
  finding.data.busy_runners = others
  if others > 0 and (others + 1) * count > cores then
    problem('warn', ('%s at work beside this one: give each its share'):format(plural(others, 'runner')),
      ('export OMP_NUM_THREADS=%d'):format(math.max(1, math.floor(cores / (others + 1)))))
  end
  return finding
end

-- The tightest memory limit of the process's cgroup (v2 or v1) in bytes and its file, or nil.
local function cgroup_memory()
  local tightest, source
  local function look(path)
    local bytes = tonumber(read(path) or '')
    if bytes and bytes < 2 ^ 60 and (not tightest or bytes < tightest) then tightest, source = bytes, path end
  end
  for line in (read('/proc/self/cgroup', '*a') or ''):gmatch '[^\n]+' do
    local controllers, path = line:match '^%d+:([^:]*):(.*)$'
    while path and (controllers == '' or controllers == 'memory') do
      look(controllers == '' and '/sys/fs/cgroup' .. path .. '/memory.max' or '/sys/fs/cgroup/memory' .. path .. '/memory.limit_in_bytes')
      path = path:match '^(.*)/[^/]*$'
    end
  end
  look '/sys/fs/cgroup/memory.max'
  look '/sys/fs/cgroup/memory/memory.limit_in_bytes'
  return tightest, source
end

---Memory of the machine and of the cgroup, and the cap on tensors.
function doctor_machine.memory(context)
  local info = read('/proc/meminfo', '*a') or ''
  local function kb(name) return (tonumber(info:match(name .. ':%s+(%d+) kB')) or 0) * 1024 end
  local total, available = kb 'MemTotal', kb 'MemAvailable'
  local limit, source = cgroup_memory()
  local cap = context.memory.limit_mb * 1e6
  local finding = { mark = 'ok', text = { ('%s, %s available, %s'):format(size(total), size(available),
    limit and 'cgroup limit ' .. size(limit) or 'no cgroup limit'), ('tensors may take %s (%s)'):format(size(cap),
    host.getenv 'RUNNER_MEM_LIMIT' and 'RUNNER_MEM_LIMIT' or 'default') },
    data = { total_bytes = total, available_bytes = available, cgroup_limit_bytes = limit, tensor_limit_bytes = cap } }
  if available > 0 and available < MEMORY_WARN then
    finding.mark = available < MEMORY_FAIL and 'FAIL' or 'warn'
    finding.text[3], finding.fix = 'little memory is left: runs will swap or be killed', { 'ps -eo pid,rss,args --sort=-rss | head' }
  elseif limit and cap > limit then
    finding.mark = 'warn'
    finding.text[3] = ('the cap on tensors is above the limit in %s: a run would be killed, not told'):format(source)
    finding.fix = { ('export RUNNER_MEM_LIMIT=%dMiB'):format(math.floor(0.9 * limit / MIB)) }
  end
  return finding
end

-- The nearest folder above a path that exists: a results folder is made by its first run.
local function existing(path)
  while not host.stat(path) do path = path:match '^(.+)/[^/]+/?$' or (path:sub(1, 1) == '/' and '/' or '.') end
  return path
end

-- Free space where something will be written.
local function space(finding, name, path, fail_below, warn_below, fix)
  local disk, message = host.disk(existing(path))
  finding.data[name] = { path = path, free_bytes = disk and disk.free, writable = disk and disk.writable }
  local function problem(mark, text)
    if finding.mark ~= 'FAIL' then finding.mark = mark end
    finding.text[#finding.text + 1], finding.fix[#finding.fix + 1] = text, fix
  end
  if not disk then return problem('FAIL', ('%s: %s'):format(name, message)) end
  if not disk.writable or host.stat(existing(path)).type ~= 'dir' then
    return problem('FAIL', ("%s: '%s' cannot be written"):format(name, path))
  end
  local text = ("%s: %s free in '%s'"):format(name, size(disk.free), path)
  if disk.free < warn_below then return problem(disk.free < fail_below and 'FAIL' or 'warn', text .. ', too little for checkpoints') end
  finding.text[#finding.text + 1] = text
end

---Disk for results and temporary files.
function doctor_machine.disk()
  local finding = { mark = 'ok', text = {}, fix = {}, data = {} }
  local tmp = host.getenv 'TMPDIR'
  space(finding, 'results', run_files.root(), DISK_FAIL, DISK_WARN, 'export RUNNER_RESULTS_DIR=/a/folder/with/space')
  space(finding, 'tmp', tmp and tmp ~= '' and tmp or '/tmp', 0, TMP_WARN, 'export TMPDIR=/a/folder/with/space')
  return finding
end

return doctor_machine
