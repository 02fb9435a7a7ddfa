-- Threads, wait policy and pinning, and where each came from.
local finding = require 'base.finding'
local host = require 'host'
local plural = require('pretty').plural
local read_file = require 'base.read_file'

local SPINS_LONG = 1e6 -- of GOMP_SPINCOUNT: as good as active waiting

-- Other runners that compute right now.
local function busy_runners()
  local count, own = 0, host.pid()
  for _, name in ipairs(host.listdir '/proc' or {}) do
    local pid = tonumber(name)
    if pid and pid ~= own and read_file(('/proc/%d/comm'):format(pid)) == 'runner\n' then
      local state = (read_file(('/proc/%d/stat'):format(pid)) or ''):match '^%d+ %b() (%a)'
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

return { place = 2, look = function(context)
  local s, load = context.settings, context.machine.load_average
  local count, cores, others = s.threads.value, s.cores, busy_runners()
  local found = finding.new({ ('%d (%s), waiting %s (%s), pinning %s (%s)'):format(count, s.threads.from, s.wait.value,
    s.wait.from, s.pinning.value, s.pinning.from) }, {
    threads = count, threads_from = s.threads.from, wait_policy = s.wait.value, wait_policy_from = s.wait.from,
    pinning = s.pinning.value, pinning_from = s.pinning.from, cores = cores, busy_runners = others })
  local variable, crowded = spinning(s.wait), count > cores or load >= cores
  if variable then
    local effect = crowded and 'and take cores from those that work' or 'which is many times slower beside others'
    found:problem(crowded and 'FAIL' or 'warn', ('waiting threads spin (%s) %s'):format(variable, effect),
      undo(variable))
  end
  if count > cores then
    found:problem('warn', ('%s for %s: they wait for each other'):format(plural(count, 'thread'),
      plural(cores, 'core')), undo(s.threads.from, cores))
  end
  if s.threads.ignored then
    found:problem('warn', ("OMP_NUM_THREADS='%s' is not a thread count and is ignored"):format(s.threads.ignored),
      'unset OMP_NUM_THREADS')
  end
  if others > 0 and (others + 1) * count > cores then
    found:problem('warn', ('%s at work beside this one: give each its share'):format(plural(others, 'runner')),
      ('export OMP_NUM_THREADS=%d'):format(math.max(1, math.floor(cores / (others + 1)))))
  end
  return found
end }
