-- Which OpenBLAS a runner may compute with. The pthread build beside LibTorch's OpenMP is a second pool of threads on the
-- same cores, which makes a step of two threads up to 15 times slower: the runner refuses it.
local fail = require 'fail'
local host = require 'host'

local blas_check = {}

local MACHINE_UNFIT = 9

---The command that takes a library out that should not be there.
---@return string
function blas_check.fix()
  for _, name in ipairs { 'LD_PRELOAD', 'LD_LIBRARY_PATH' } do
    local value = host.getenv(name)
    if value and value ~= '' then return 'unset ' .. name end
  end
  return 'apt-get install libopenblas0-openmp && cmake --preset release && cmake --build --preset release'
end

---Raises (exit 9) for the pthread build.
---@param threading string of diagnostics.blas_threading()
function blas_check.refuse(threading)
  if threading ~= 'pthreads' then return end
  fail.raise(MACHINE_UNFIT, 'the pthread build of OpenBLAS is loaded; LibTorch needs the OpenMP build, beside its own OpenMP this one is '
    .. 'a second pool of threads on the same cores, up to 15 times slower; mend it with: %s (runner doctor shows which file it is)',
    blas_check.fix())
end

return blas_check
