-- Opening of the native module `lanthorn.so`. OpenMP and OpenBLAS read their environment once, when they are loaded
-- with the module, so the wait policy, the thread count, pinning and the BLAS core must stand before.
--
-- Several runners on one machine: whoever starts them gives each its share in OMP_NUM_THREADS (cores / jobs); a runner
-- looks at its own cores and quota, never at its neighbours. Waiting threads sleep, so that neighbours lose little.
local blas_check = require 'blas.threading'
local blas_core = require 'blas.core'
local console = require 'console'
local fail = require 'fail'
local host = require 'host'

local native = {}

local threads -- from --threads
local pin = false -- from --pin
local settings -- what prepare_environment decided
local any_blas = false -- for those who report what is loaded

---Sets the thread count of the native module; call before anything native is required.
---@param count integer
function native.set_threads(count)
  threads = count
end

---Binds threads to cores; call before anything native is required.
---@param on boolean
function native.set_pin(on)
  pin = on
end

---Lets the native module be used beside any build of OpenBLAS; `runner doctor` says what is wrong with it. Call
---before anything native is required.
function native.allow_any_blas()
  any_blas = true
end

-- Looks of a waiting thread before it sleeps, some 50 us: the fused kernels of a step follow each other faster than a
-- sleeper wakes (tests/bench/HISTORY.md: 10 % of a small model's step), and another process hardly misses them.
local SHORT_SPIN = '2000'

local function decide_wait()
  local policy = host.getenv 'OMP_WAIT_POLICY'
  local spin = host.getenv 'GOMP_SPINCOUNT'
  -- What a runner that started this one chose for itself.
  if policy == 'passive' and spin == SHORT_SPIN then return { value = 'passive', from = 'default' } end
  if policy then return { value = policy:lower(), from = 'OMP_WAIT_POLICY', spin = spin } end
  -- A long spin would override the policy: threads that spin take the cores from LibTorch's other pools.
  return { value = 'passive', from = 'default', ignored_spin = spin }
end

local function decide_threads()
  local text = host.getenv 'OMP_NUM_THREADS'
  if threads then return { value = threads, from = '--threads' } end
  -- A list gives one count for each level of nesting; the first is ours.
  local count = text and tonumber(text:match '^%s*(%d+)')
  if count and count >= 1 then return { value = count, from = 'OMP_NUM_THREADS' } end
  return { value = host.cores(), from = 'default', ignored = text }
end

local function decide_pinning()
  local bind = host.getenv 'OMP_PROC_BIND'
  if bind then return { value = bind:lower(), from = 'OMP_PROC_BIND' } end
  if host.getenv 'GOMP_CPU_AFFINITY' then return { value = 'list', from = 'GOMP_CPU_AFFINITY' } end
  if pin then return { value = 'close', from = '--pin' } end
  return { value = 'none', from = 'default' }
end

---What the native module gets or got: wait policy, threads and pinning, each { value =, from = } where `from` is an
---option, an environment variable or "default"; the cores they are for; and, once the module is found, cpus: the list
---of CPUs this process could use before its threads were bound, for those who start others, and blas: see
---blas_core.choose.
---@return table
function native.settings()
  if settings then return settings end
  return { wait = decide_wait(), threads = decide_threads(), pinning = decide_pinning(), cores = host.cores() }
end

local function warn_of_oversubscription(chosen)
  local count, cores = chosen.threads.value, chosen.cores
  if chosen.threads.ignored then
    console.warn(("warning: OMP_NUM_THREADS is '%s', which is not a thread count; %d threads are used"):format(
      chosen.threads.ignored, count))
  end
  if count <= cores then return end
  local spins = chosen.wait.value == 'active'
  console.warn(('warning: %d threads (%s) for %d core%s this process may use: %s; --threads %d'):format(count,
    chosen.threads.from, cores, cores == 1 and '' or 's',
    spins and 'with OMP_WAIT_POLICY=active they spin in each other\'s way, many times slower'
    or 'they wait for each other, which is slower than fewer', cores))
end

-- The CPUs that this process may use, as "0-3,8", while nothing has bound its threads.
local function allowed_cpus()
  for line in io.lines '/proc/self/status' do
    local list = line:match '^Cpus_allowed_list:%s*(%S+)'
    if list then return list end
  end
  return nil
end

local function prepare_environment()
  settings = native.settings()
  settings.cpus = allowed_cpus()
  if settings.wait.from == 'default' then
    host.setenv('OMP_WAIT_POLICY', 'passive')
    -- More threads than cores would spin in each other's way.
    host.setenv('GOMP_SPINCOUNT', settings.threads.value <= settings.cores and SHORT_SPIN or nil)
  end
  if settings.threads.from ~= 'OMP_NUM_THREADS' then
    host.setenv('OMP_NUM_THREADS', tostring(settings.threads.value))
  end
  if settings.pinning.from == '--pin' then
    host.setenv('OMP_PROC_BIND', 'close')
    if not host.getenv 'OMP_PLACES' then host.setenv('OMP_PLACES', 'cores') end
  end
  warn_of_oversubscription(settings)
  settings.blas = blas_core.choose()
  host.setenv(blas_core.variable, settings.blas.value)
end

---Finds the module beside the runner, else on package.cpath. What is given back opens it, once, and refuses the
---pthread build of OpenBLAS.
---@return function loader
function native.find()
  local beside = host.folder .. '/lanthorn.so'
  local path = beside
  if not host.stat(beside) then path = package.searchpath('lanthorn', package.cpath) end
  if not path then
    fail.raise(1, "native module '%s' does not exist, nor does one in LUA_CPATH; build it with: cmake --build "
      .. "--preset release", beside)
  end
  prepare_environment()
  local open, message = package.loadlib(path, 'luaopen_lanthorn')
  if not open then error(("native module '%s': %s"):format(path, message), 0) end
  return function(...)
    local module = open(...)
    if not any_blas then
      package.loaded.lanthorn = nil -- so that whoever catches the error and tries again gets the same one
      blas_check.refuse(module.diagnostics.blas_threading(),
        function() return module.diagnostics.libraries().blas_files end)
    end
    module.run.print_stacks()
    return module
  end
end

return native
