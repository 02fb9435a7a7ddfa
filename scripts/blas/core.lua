-- Which kernels OpenBLAS computes with. It looks at the CPU's model number, and takes its oldest kernels (SSE3) for
-- one that is newer than itself: five times too slow for every product of a model. So the core is chosen here by what
-- the CPU can do, before the library is loaded, and only after its products were found right, since some old kernels
-- are wrong on new CPUs. The choice goes by a table, never by the clock: the same machine computes the same bits
-- tomorrow.
local cache_folder = require 'base.cache_folder'
local console = require 'console'
local dkjson = require 'dkjson'
local files = require 'files'
local host = require 'host'
local read_file = require 'base.read_file'
local shell = require 'base.shell'

local blas_core = { variable = 'OPENBLAS_CORETYPE' }

-- What a core needs of the CPU, the fastest first. The name is OpenBLAS's, in capitals in its variable.
local CORES = {
  { name = 'Cooperlake', rank = 4, needs = { 'avx512f', 'avx512bw', 'avx512dq', 'avx512vl', 'avx512_bf16' } },
  { name = 'SkylakeX', rank = 3, needs = { 'avx512f', 'avx512bw', 'avx512dq', 'avx512vl' } },
  { name = 'Haswell', rank = 2, needs = { 'avx2', 'fma' } },
  { name = 'Sandybridge', rank = 1, needs = { 'avx' } },
}
-- Cores that OpenBLAS takes by itself. One that is not listed is newer than this table, and its own business.
local RANKS = { Cooperlake = 4, SkylakeX = 3, Haswell = 2, Zen = 2, Excavator = 1, Steamroller = 1, Piledriver = 1,
  Bulldozer = 1, Sandybridge = 1, Nehalem = 0, Penryn = 0, Dunnington = 0, Core2 = 0, Katmai = 0, Coppermine = 0,
  Northwood = 0, Prescott = 0, Banias = 0, Atom = 0, Nano = 0, Opteron = 0, Opteron_SSE3 = 0, Barcelona = 0, Bobcat = 0,
  Athlon = 0, Generic = 0 }

local choice -- of this process

-- The first CPU of /proc/cpuinfo: its flags as a set, and one line that tells it from others.
local function read_cpu()
  local flags, identity = {}, {}
  local file = io.open '/proc/cpuinfo'
  if not file then return flags, '' end
  for line in file:lines() do
    if line == '' then break end
    local name, value = line:match '^(.-)%s*:%s*(.*)$'
    if name == 'flags' then
      for flag in value:gmatch '%S+' do flags[flag] = true end
    end
    if name == 'flags' or name == 'vendor_id' or name == 'cpu family' or name == 'model' or name == 'stepping' then
      identity[#identity + 1] = value
    end
  end
  file:close()
  return flags, table.concat(identity, ' ')
end

---The cores that a CPU can run, the fastest first.
---@param flags table<string, boolean>
---@return { name: string, rank: integer }[]
function blas_core.candidates(flags)
  local able = {}
  for _, core in ipairs(CORES) do
    local fits = true
    for _, flag in ipairs(core.needs) do fits = fits and flags[flag] end
    if fits then able[#able + 1] = core end
  end
  return able
end

-- OpenBLAS with one core in a process of its own: the core it says it uses, or nil, and what it computed wrong, or nil.
local function try(name)
  local setting = name and ('%s=%s'):format(blas_core.variable, name:upper()) or '-u ' .. blas_core.variable
  local pipe = io.popen(('env %s %s blas-test 2>/dev/null </dev/null'):format(setting,
    shell.quote(host.folder .. '/runner')))
  local core, verdict = pipe:read('*a'):match '^core (%S+)\n(.-)\n'
  pipe:close()
  if not core then return nil, 'it does not run here' end
  return core, verdict ~= 'right' and verdict or nil
end

---Which core to ask OpenBLAS for.
---@param flags table<string, boolean> of the CPU
---@param attempt fun(name: string?): string?, string? see `try`; nil asks for none
---@return { core: string?, own: string?, wrong: string[] } core: nil leaves OpenBLAS its own
function blas_core.decide(flags, attempt)
  local able, wrong = blas_core.candidates(flags), {}
  if #able == 0 then return { wrong = wrong } end
  local own, fault = attempt(nil)
  if fault then wrong[1] = ('%s: %s'):format(own or 'its own core', fault) end
  local own_rank = not fault and (RANKS[own] or math.huge) or -1
  for _, core in ipairs(able) do
    if core.rank <= own_rank then break end
    local got, problem = attempt(core.name)
    if got == core.name and not problem then return { core = core.name:upper(), own = own, wrong = wrong } end
    -- An OpenBLAS that was built without this core takes another.
    if got == core.name or not got then wrong[#wrong + 1] = ('%s: %s'):format(core.name, problem) end
  end
  return { own = own, wrong = wrong, unfit = fault ~= nil or nil }
end

-- Where the choice for this CPU and this library is kept; nil without a library to look at.
local function kept_file(identity)
  local stat = host.stat(host.openblas)
  if not stat then return nil end
  local key = ('%s %s %d %d'):format(identity, host.openblas, stat.size, stat.mtime or 0)
  local hash = 5381
  for i = 1, #key do hash = (hash * 33 + key:byte(i)) % 2 ^ 32 end
  return ('%s/%08x.json'):format(cache_folder 'blas', hash), key
end

local function read_kept(path, key)
  local kept = dkjson.decode(read_file(path) or '')
  return type(kept) == 'table' and kept.key == key and type(kept.wrong) == 'table' and kept or nil
end

-- A cache that cannot be written costs a tenth of a second at the next start.
local function keep(path, key, decided)
  if not files.make_folder(path:match '^(.*)/') then return end
  pcall(files.write, path, dkjson.encode { key = key, core = decided.core, own = decided.own, unfit = decided.unfit,
    wrong = setmetatable(decided.wrong, { __jsontype = 'array' }) })
end

---The core for this process, found out once: { value = what the variable is to hold or nil, from = the variable's
---name, "this CPU" or "OpenBLAS", own = what OpenBLAS takes by itself if that was looked at, best = the fastest core
---this CPU can run, wrong = cores that were found wrong }. Never anything but the user's own setting where there is
---one.
---@return table
function blas_core.choose()
  if choice then return choice end
  local flags, identity = read_cpu()
  local able = blas_core.candidates(flags)
  local best = able[1] and able[1].name
  local given = host.getenv(blas_core.variable)
  if given then
    choice = { value = given, from = blas_core.variable, best = best, wrong = {} }
    return choice
  end
  local path, key = kept_file(identity)
  local decided = path and read_kept(path, key)
  if not decided then
    decided = path and blas_core.decide(flags, try) or { wrong = {} }
    if path then keep(path, key, decided) end
  end
  if decided.unfit then
    console.warn(('warning: OpenBLAS computes wrong products on this CPU (%s); runner doctor says more'):format(
      table.concat(decided.wrong, '; ')))
  end
  choice = { value = decided.core, from = decided.core and 'this CPU' or 'OpenBLAS', own = decided.own, best = best,
    wrong = decided.wrong, unfit = decided.unfit }
  return choice
end

---The command that gives OpenBLAS a better core than it uses now.
---@param chosen table what choose() gave
---@return string
function blas_core.fix(chosen)
  if chosen.from == blas_core.variable then return 'unset ' .. blas_core.variable end
  return 'apt-get install --only-upgrade libopenblas0-openmp'
end

---How fast a core is beside others: 4 for AVX-512 with bf16 down to 0 for SSE; nil for one that is not known.
---@param name string in any case
---@return integer?
function blas_core.rank(name)
  for core, rank in pairs(RANKS) do
    if core:upper() == name:upper() then return rank end
  end
  return nil
end

return blas_core
