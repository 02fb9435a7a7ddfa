-- Which OpenBLAS a runner may compute with. The pthread build beside LibTorch's OpenMP is a second pool of threads on
-- the same cores, which makes a step of two threads up to 15 times slower: the runner refuses it.
local fail = require 'fail'
local host = require 'host'
local shell = require 'base.shell'

local blas_check = {}

local MACHINE_UNFIT = 9

-- Whether one of the files, which have no links, is what an entry of LD_PRELOAD loads. The loader looks for an entry
-- without a folder by its name; "libopenblas.so.0" is a link to "libopenblasp-r0.3.21.so", so stems are compared.
local function preloads(entry, files)
  local path = entry:find '/' and host.realpath(entry)
  local stem = not entry:find '/' and entry:match '^(.-)%.so'
  for _, file in ipairs(files) do
    if file == path or stem and file:match '[^/]*$':sub(1, #stem) == stem then return true end
  end
  return false
end

-- Whether a folder of LD_LIBRARY_PATH holds one of the files, or a link to it.
local function supplies(folder, files)
  for _, name in ipairs(host.listdir(folder) or {}) do
    local path = name:find '%.so' and host.realpath(folder .. '/' .. name)
    for _, file in ipairs(files) do
      if file == path then return true end
    end
  end
  return false
end

---The variable of the loader that brings one of these libraries, if any.
---@param files string[] paths without links
---@return string? "LD_PRELOAD" or "LD_LIBRARY_PATH"
function blas_check.source(files)
  for entry in (host.getenv 'LD_PRELOAD' or ''):gmatch '[^%s:]+' do
    if preloads(entry, files) then return 'LD_PRELOAD' end
  end
  for folder in (host.getenv 'LD_LIBRARY_PATH' or ''):gmatch '[^:;]+' do
    if supplies(folder, files) then return 'LD_LIBRARY_PATH' end
  end
  return nil
end

---The command that takes a BLAS out that should not be there.
---@param files string[] the BLAS libraries that are loaded, without links
---@return string
function blas_check.fix(files)
  local variable = blas_check.source(files)
  if variable then return 'unset ' .. variable end
  return 'apt-get install libopenblas0-openmp && cmake --preset release && cmake --build --preset release'
end

---The command that leaves one OpenMP runtime of several.
---@param files string[] the OpenMP runtimes that are loaded, without links
---@return string
function blas_check.openmp_fix(files)
  local system, others = nil, {}
  for _, file in ipairs(files) do
    if not system and file:find '/libgomp%.so[^/]*$' then system = file else others[#others + 1] = file end
  end
  local variable = blas_check.source(others)
  if variable then return 'unset ' .. variable end
  for _, file in ipairs(others) do
    -- A copy that a LibTorch package brings; the loader takes files that are one as one library.
    if system and file:find '/libgomp[^/]*$' then
      return ('ln -sf %s %s'):format(shell.quote(system), shell.quote(file))
    end
  end
  local name = others[1]:match '[^/]*$'
  return ("LD_DEBUG=files runner doctor --quick 2>&1 | grep 'file=%s.*needed by'")
    :format(name:match '^(.-%.so)' or name)
end

---Raises (exit 9) for the pthread build.
---@param threading string of diagnostics.blas_threading()
---@param files fun(): string[] gives the BLAS libraries that are loaded, without links
function blas_check.refuse(threading, files)
  if threading ~= 'pthreads' then return end
  fail.raise(MACHINE_UNFIT,
    'the pthread build of OpenBLAS is loaded, but LibTorch needs the OpenMP build: two pools of threads on the '
    .. 'same cores are up to 15 times slower; fix it with: %s (runner doctor shows which file it is)',
    blas_check.fix(files()))
end

return blas_check
