-- BLAS: its build must be OpenMP's, once, and its kernels those of this CPU.
local blas_check = require 'blas.threading'
local blas_core = require 'blas.core'
local finding = require 'base.finding'

-- Where the core comes from, as the end of a line.
local function core_origin(chosen)
  if chosen.from == blas_core.variable then return ('%s=%s'):format(blas_core.variable, chosen.value) end
  if not chosen.value then return "OpenBLAS's own choice" end
  return ('chosen for this CPU; by itself OpenBLAS takes %s'):format(chosen.own or 'none that works')
end

-- Whose threads a product uses.
local function check_threading(found, l, fix)
  if l.blas_threading == 'pthreads' then
    found:problem('FAIL',
      'the pthread build beside OpenMP: two pools of threads on the same cores, up to 15 times slower', fix)
  elseif l.blas_threading == 'sequential' then
    found:problem('warn', 'the sequential build uses one thread only', fix)
  elseif l.blas_threading ~= 'openmp' then
    found:problem('warn',
      'this BLAS does not say how it makes its threads; the OpenMP build of OpenBLAS is what LibTorch needs', fix)
  end
end

-- Whether the kernels are right, and the best that this CPU has.
local function check_core(found, core, chosen)
  for _, wrong in ipairs(chosen.wrong) do
    found.text[#found.text + 1] = 'wrong on this CPU and not used: ' .. wrong
  end
  if chosen.unfit then
    found:problem('FAIL', 'no core computes right products here: every result of this machine is in doubt',
      blas_core.fix(chosen))
  elseif chosen.best and (blas_core.rank(core) or math.huge) < blas_core.rank(chosen.best) and #chosen.wrong == 0 then
    found:problem('warn', ("this CPU can run OpenBLAS's %s kernels, which are faster"):format(chosen.best),
      blas_core.fix(chosen))
  end
end

return { place = 6, look = function(context)
  local l, chosen = context.libraries, context.blas
  local core = l.blas:match '(%S+) MAX_THREADS' or 'unknown'
  local build = l.blas_threading == 'openmp' and 'OpenMP' or l.blas_threading:gsub('s$', '')
  local found = finding.new({ ('%s, %s build, %s kernels (%s)'):format(l.blas:match '^%S+ %S+' or l.blas, build, core,
    core_origin(chosen)), unpack(l.blas_files) }, {
    blas = l.blas, threading = l.blas_threading, files = l.blas_files, openmp_files = l.openmp_files, core = core,
    core_from = chosen.from, own_core = chosen.own, wrong_cores = chosen.wrong })
  local fix = blas_check.fix(l.blas_files)
  check_threading(found, l, fix)
  check_core(found, core, chosen)
  if #l.blas_files > 1 then
    found:problem('FAIL', ('%d BLAS libraries are loaded; which one is used is a matter of chance')
      :format(#l.blas_files), fix)
  end
  if #l.openmp_files > 1 then
    found:problem('FAIL', 'several OpenMP runtimes are loaded, each with threads of its own: '
      .. table.concat(l.openmp_files, ', '), blas_check.openmp_fix(l.openmp_files))
  end
  return found
end }
