-- What `runner doctor` finds out about libraries: BLAS, oneDNN, LibTorch, LuaJIT, how errors pass between C++ and Lua, and
-- the rates they reach. Findings are those of machine.lua.
local blas_check = require 'blas.threading'
local blas_core = require 'blas.core'
local host = require 'host'

local doctor_libraries = {}

-- at::mm below this share of oneDNN's rate on one thread is judged; kernels of the right kind reach two thirds and more.
local SLOW_BLAS = 0.45

-- The variable that keeps oneDNN from using all of the CPU, if one is set.
local function forced_isa()
  return host.getenv 'ONEDNN_MAX_CPU_ISA' and 'ONEDNN_MAX_CPU_ISA' or host.getenv 'DNNL_MAX_CPU_ISA' and 'DNNL_MAX_CPU_ISA' or nil
end

local function onednn_fix()
  local variable = forced_isa()
  return variable and 'unset ' .. variable or 'apt-get install --only-upgrade libdnnl2'
end

local function has(list, wanted)
  for _, item in ipairs(list) do
    if item == wanted then return true end
  end
  return false
end

-- What native.settings tells of the core; nothing where the module was not opened by it.
local function chosen_core(context)
  return (context.settings or {}).blas or { wrong = {} }
end

-- Where the BLAS core comes from, as the end of a line.
local function core_origin(chosen)
  if chosen.from == blas_core.variable then return ('%s=%s'):format(blas_core.variable, chosen.value) end
  if not chosen.value then return "OpenBLAS's own choice" end
  return ('chosen for this CPU; by itself OpenBLAS takes %s'):format(chosen.own or 'none that works')
end

-- The command that gives OpenBLAS a better core than it uses now.
local function core_fix(chosen)
  if chosen.from == blas_core.variable then return 'unset ' .. blas_core.variable end
  return 'apt-get install --only-upgrade libopenblas0-openmp'
end

---BLAS: its build must be OpenMP's, once, and its kernels those of this CPU.
function doctor_libraries.blas(context)
  local l = context.libraries
  local chosen, core = chosen_core(context), l.blas:match '(%S+) MAX_THREADS' or 'unknown'
  local finding = { mark = 'ok', fix = {}, text = { ('%s, %s build, %s kernels (%s)'):format(
    l.blas:match '^%S+ %S+' or l.blas, l.blas_threading == 'openmp' and 'OpenMP' or l.blas_threading:gsub('s$', ''), core,
    core_origin(chosen)), unpack(l.blas_files) },
    data = { blas = l.blas, threading = l.blas_threading, files = l.blas_files, openmp_files = l.openmp_files, core = core,
      core_from = chosen.from, own_core = chosen.own, wrong_cores = chosen.wrong } }
  local function problem(mark, text, fix)
    if finding.mark ~= 'FAIL' then finding.mark = mark end
    finding.text[#finding.text + 1] = text
    if not has(finding.fix, fix) then finding.fix[#finding.fix + 1] = fix end
  end
  local fix = blas_check.fix(l.blas_files)
  if l.blas_threading == 'pthreads' then
    problem('FAIL', 'the pthread build beside OpenMP: two pools of threads on the same cores, up to 15 times slower', fix)
  elseif l.blas_threading == 'sequential' then
    problem('warn', 'the sequential build uses one thread only', fix)
  elseif l.blas_threading ~= 'openmp' then
    problem('warn', 'this BLAS does not say how it makes its threads; the OpenMP build of OpenBLAS is what LibTorch needs', fix)
  end
  for _, wrong in ipairs(chosen.wrong) do finding.text[#finding.text + 1] = 'wrong on this CPU and not used: ' .. wrong end
  if chosen.unfit then
    problem('FAIL', 'no core computes right products here: every result of this machine is in doubt', core_fix(chosen))
  elseif chosen.best and (blas_core.rank(core) or math.huge) < blas_core.rank(chosen.best) and #chosen.wrong == 0 then
    problem('warn', ("this CPU can run OpenBLAS's %s kernels, which are faster"):format(chosen.best), core_fix(chosen))
  end
  if #l.blas_files > 1 then
    problem('FAIL', ('%d BLAS libraries are loaded; which one is used is a matter of chance'):format(#l.blas_files), fix)
  end
  if #l.openmp_files > 1 then
    problem('FAIL', 'several OpenMP runtimes are loaded, each with threads of its own: ' .. table.concat(l.openmp_files, ', '),
      blas_check.openmp_fix(l.openmp_files))
  end
  return finding
end

---oneDNN: version, and whether it uses what the CPU has.
function doctor_libraries.onednn(context)
  local l, flags = context.libraries, context.machine.flags
  local finding = { mark = 'ok', text = { ('%s, uses %s'):format(l.onednn, l.onednn_isa) },
    data = { version = l.onednn, isa = l.onednn_isa, bf16 = l.bf16 } }
  local less = has(flags, 'avx512f') and not l.onednn_isa:find 'avx512' or has(flags, 'avx2') and not l.onednn_isa:find '^avx[25]'
  if less then
    finding.mark, finding.text[2] = 'warn', 'the CPU has more: ' .. table.concat(flags, ' ')
    finding.fix = { onednn_fix() }
  end
  return finding
end

---bf16: of the CPU and of oneDNN, and whether train.precision=bf16 is accepted. Its absence is not a fault.
function doctor_libraries.bf16(context)
  local l, flags = context.libraries, context.machine.flags
  local cpu = has(flags, 'amx_bf16') and 'AMX' or has(flags, 'avx512_bf16') and 'AVX512_BF16' or nil
  local finding = { mark = 'ok', text = { ('CPU %s, oneDNN multiplies with %s'):format(cpu or 'none', l.bf16) },
    data = { cpu = cpu, onednn = l.bf16, accepted = context.diagnostics.missing_precision 'bf16' == nil } }
  if not cpu and not finding.data.accepted then
    finding.mark, finding.text = 'none', { 'none in this CPU (AVX512_BF16 or AMX): train.precision=bf16 needs train.emulate=true' }
  elseif not cpu then
    finding.mark, finding.text = 'none', { 'none in this CPU (AVX512_BF16 or AMX): train.precision=bf16 is accepted, but slow, since '
      .. 'oneDNN converts up to fp32' }
  elseif l.bf16 == 'none' then
    finding.mark, finding.text[2] = 'warn', finding.data.accepted and 'the CPU has bf16, oneDNN does not use it: train.precision=bf16 '
      .. 'is accepted, but slow, since oneDNN converts up to fp32' or 'the CPU has bf16, oneDNN does not use it'
    finding.fix = { onednn_fix() }
  end
  return finding
end

---Rates of matrix products on one and on all threads.
function doctor_libraries.gemm(context)
  local threads, data, text = context.threads, {}, {}
  local function rates(label, library, dtype)
    local one = context.diagnostics.gemm(library, dtype, 1, 0.2) / 1e9
    local all = threads > 1 and context.diagnostics.gemm(library, dtype, threads, 0.3) / 1e9 or one
    data[#data + 1] = { library = library, dtype = dtype, threads_1_gflops = one, threads_all_gflops = all }
    text[#text + 1] = ('%-17s 1 thread %5.0f'):format(label, one)
      .. (threads > 1 and ('   %d threads %5.0f GFLOP/s'):format(threads, all) or ' GFLOP/s')
    return one, all
  end
  local one, all = rates('fp32 oneDNN', 'onednn', 'float32')
  local plain = rates('fp32 at::mm', 'libtorch', 'float32')
  if context.diagnostics.missing_precision 'bf16' == nil then
    rates('bf16 at::mm', 'libtorch', 'bfloat16')
  else
    text[#text + 1] = 'bf16 not measured: this CPU has none'
  end
  local finding = { mark = 'ok', fix = {}, text = text, data = { threads = threads, rates = data } }
  if plain < SLOW_BLAS * one then
    finding.mark = 'warn'
    text[#text + 1] = ("at::mm, that is OpenBLAS, has %.0f %% of oneDNN's rate: products of a model's own layers are slow"):format(
      100 * plain / one)
    finding.fix[1] = core_fix(chosen_core(context))
  end
  if threads > 1 and all < 1.2 * one then
    finding.mark = 'warn'
    text[#text + 1] = 'more threads bring nothing: the machine is busy, or the cores are shared'
    finding.fix[#finding.fix + 1] = 'ps -eo pid,pcpu,etime,args --sort=-pcpu | head'
  end
  return finding
end

---Memory bandwidth.
function doctor_libraries.bandwidth(context)
  local b = context.diagnostics.bandwidth(context.threads, 0.2)
  return { mark = 'ok', text = { ('copy %.1f GB/s, triad %.1f GB/s on %d thread%s'):format(b.copy / 1e9, b.triad / 1e9, context.threads,
    context.threads == 1 and '' or 's'), ('arrays of %.0f MiB, last cache %s'):format(b.buffer_bytes / 2 ^ 20,
    b.cache_bytes > 0 and ('%.0f MiB'):format(b.cache_bytes / 2 ^ 20) or 'unknown') },
    data = { copy_gb_s = b.copy / 1e9, triad_gb_s = b.triad / 1e9, buffer_bytes = b.buffer_bytes, cache_bytes = b.cache_bytes,
      threads = context.threads } }
end

-- Who asks for a CUDA device: --device, or the variable that a scheduler sets.
local function asks_for_cuda(context)
  if context.device and context.device:find '^cuda' then return '--device ' .. context.device end
  local visible = host.getenv 'CUDA_VISIBLE_DEVICES'
  if visible and visible ~= '-1' and visible ~= 'NoDevFiles' then return 'CUDA_VISIBLE_DEVICES=' .. visible end
  return nil
end

---LibTorch, and CUDA where it is asked for.
function doctor_libraries.libtorch(context)
  local l = context.libraries
  local cuda = not l.cuda_built and 'built without CUDA'
    or ('CUDA with %d device%s'):format(l.cuda_devices, l.cuda_devices == 1 and '' or 's')
  local finding = { mark = 'ok', text = { ('%s, %s'):format(l.libtorch, cuda) },
    data = { version = l.libtorch, cuda_built = l.cuda_built, cuda_devices = l.cuda_devices } }
  local asked = asks_for_cuda(context)
  local here, message = pcall(require('torch').device, context.device or 'auto')
  if asked and l.cuda_devices == 0 or not here then
    finding.mark = 'FAIL'
    finding.text[2] = not here and tostring(message) or asked .. ' asks for CUDA, runs would take the CPU'
    finding.fix = { context.device and 'runner doctor --device auto' or not l.cuda_built and 'unset CUDA_VISIBLE_DEVICES' or 'nvidia-smi' }
    if not l.cuda_built then finding.fix[2] = 'cmake --preset release -DLANTHORN_TORCH_ROOT=/folder/of/a/libtorch/with/cuda' end
  end
  return finding
end

---LuaJIT: version, compiler, address space.
function doctor_libraries.luajit()
  local on = jit.status()
  local gc64 = require('ffi').abi 'gc64'
  local finding = { mark = 'ok', text = { ('%s, compiler %s, %s'):format(jit.version, on and 'on' or 'off', gc64 and 'GC64' or 'no GC64') },
    data = { version = jit.version, compiler = on, gc64 = gc64 } }
  if not on then
    finding.mark, finding.text[2] = 'warn', 'Lua loops run many times slower'
    finding.fix = { 'unset RUNNER_NO_JIT' }
  elseif not gc64 then
    finding.mark, finding.text[2] = 'warn', 'Lua objects are limited to 2 GiB'
    finding.fix = { 'apt-get install libluajit-5.1-dev && cmake --build --preset release' }
  end
  return finding
end

---Whether C++ exceptions and Lua errors pass each other's frames.
function doctor_libraries.exceptions(context)
  local tests = context.diagnostics.exceptions()
  local finding = { mark = 'ok', text = { ('self-test: %d of %d'):format(#tests, #tests) }, data = { tests = tests } }
  local failed = {}
  for _, test in ipairs(tests) do
    if not test.ok then failed[#failed + 1] = ('%s: got %s'):format(test.name, test.got) end
  end
  if #failed > 0 then
    finding.mark, finding.text = 'FAIL', { ('self-test: %d of %d'):format(#tests - #failed, #tests), unpack(failed) }
    finding.fix = { 'apt-get install --reinstall libluajit-5.1-2 && cmake --build --preset release --clean-first' }
  end
  return finding
end

return doctor_libraries
