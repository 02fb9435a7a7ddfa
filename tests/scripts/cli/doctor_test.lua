-- runner doctor: what it looks at, how it says what is wrong, and its exit codes. Rates are compared with nothing.
local dkjson = require 'dkjson'
local host = require 'host'
local t = require 'testing'

local DOCTOR = t.quote(host.folder .. '/runner') .. ' doctor '
-- Nothing of the surroundings but what a test sets.
local CLEAN = 'env -u OMP_NUM_THREADS -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT -u OMP_PROC_BIND -u CUDA_VISIBLE_DEVICES '
  .. '-u RUNNER_NO_JIT -u RUNNER_RESULTS_DIR -u RUNNER_MEM_LIMIT -u LD_PRELOAD '

local function decode(output)
  local checks, summary = {}, nil
  for line in output:gmatch '[^\n]+' do
    if line:sub(1, 1) == '{' then
      local object = assert(dkjson.decode(line))
      if object.kind == 'check' then checks[object.name] = object else summary = object end
    end
  end
  return checks, summary
end

local function doctor(environment, words)
  local output, code = t.shell(CLEAN .. environment .. ' ' .. DOCTOR .. (words or '--quick') .. ' --json')
  local checks, summary = decode(output)
  t.is_true(summary ~= nil, output)
  t.equal(summary.exit_code, code)
  return checks, summary, code
end

local folder = t.temporary_folder()
t.shell(('mkdir %s/results'):format(folder))

t.test('every part of the machine is looked at, with its data', function()
  local checks, summary, code = doctor(('RUNNER_RESULTS_DIR=%s/results'):format(folder), '')
  for _, name in ipairs { 'cpu', 'threads', 'memory', 'disk', 'data', 'blas', 'onednn', 'bf16', 'libtorch', 'luajit',
    'exceptions', 'gemm', 'bandwidth' } do
    t.is_true(checks[name] ~= nil, name)
    t.is_true(#checks[name].text > 0, name)
    t.is_true(checks[name].mark == 'ok' or checks[name].mark == 'warn' or checks[name].mark == 'none',
      name .. ' is ' .. checks[name].mark)
    -- A problem comes with the command that mends it.
    t.equal(checks[name].fix ~= nil, checks[name].mark == 'warn')
  end
  t.equal(code, 0)
  t.equal(summary.failures, 0)
  t.equal(checks.threads.data.threads, host.cores())
  t.equal(checks.threads.data.threads_from, 'default')
  t.equal(checks.threads.data.wait_policy, 'passive')
  t.equal(checks.blas.data.threading, 'openmp')
  t.equal(#checks.blas.data.files, 1)
  t.equal(#checks.exceptions.data.tests, 4)
  t.is_true(checks.gemm.data.rates[1].threads_1_gflops > 0)
  t.is_true(checks.bandwidth.data.copy_gb_s > 0)
  t.equal(checks.disk.data.results.path, folder .. '/results')
end)

t.test('what would make runs wrong or slow is exit 9, with the command that mends it', function()
  local environment = ('OMP_WAIT_POLICY=active OMP_NUM_THREADS=%d CUDA_VISIBLE_DEVICES=0 RUNNER_NO_JIT=1 '
    .. 'RUNNER_RESULTS_DIR=/dev/null/x'):format(host.cores() + 1)
  local checks, summary, code = doctor(environment)
  t.equal(code, 9)
  t.equal(checks.threads.mark, 'fail')
  t.equal(checks.disk.mark, 'fail')
  t.equal(checks.luajit.mark, 'warn')
  t.equal(checks.threads.fix[1], 'unset OMP_WAIT_POLICY')
  t.equal(checks.threads.fix[2], 'unset OMP_NUM_THREADS')
  t.equal(checks.threads.data.threads_from, 'OMP_NUM_THREADS')
  t.equal(checks.threads.data.wait_policy_from, 'OMP_WAIT_POLICY')
  t.contains(checks.disk.fix[1], 'export RUNNER_RESULTS_DIR=')
  t.equal(checks.luajit.fix, { 'unset RUNNER_NO_JIT' })
  if checks.libtorch.data.cuda_devices == 0 then
    t.equal(checks.libtorch.mark, 'fail')
    t.contains(checks.libtorch.text, 'CUDA_VISIBLE_DEVICES=0')
    t.equal(summary.failures, 3)
  end
end)

t.test('a device that is asked for and absent is exit 9, an unknown one exit 2', function()
  local output, code = t.shell(CLEAN .. DOCTOR .. '--quick --device cuda:99')
  t.equal(code, 9, output)
  t.matches(output, "FAIL%s+libtorch[^\n]*\n%s+device 'cuda:99' not available")
  output, code = t.shell(CLEAN .. DOCTOR .. '--quick --device gpu')
  t.equal(code, 2, output)
  t.contains(output, "device 'gpu' is not known")
end)

t.test('the pthread build of OpenBLAS is found and refused', function()
  local other = '/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0'
  if not host.stat(other) then t.skip(other .. ' is not installed') end
  if host.getenv 'ASAN_OPTIONS' then t.skip 'the address sanitizer must be loaded before everything else' end
  local checks, _, code = doctor('LD_PRELOAD=' .. other)
  t.equal(code, 9)
  t.equal(checks.blas.mark, 'fail')
  t.equal(checks.blas.data.threading, 'pthreads')
  t.contains(checks.blas.fix[1], 'unset LD_PRELOAD')
end)

t.test('every other command refuses the pthread build of OpenBLAS, each time the module is asked for', function()
  local other = '/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0'
  if not host.stat(other) then t.skip(other .. ' is not installed') end
  if host.getenv 'ASAN_OPTIONS' then t.skip 'the address sanitizer must be loaded before everything else' end
  local preload = CLEAN .. 'LD_PRELOAD=' .. other .. ' ' .. t.quote(host.folder .. '/runner')
  local output, code = t.shell(preload .. ' run -e ' .. t.quote "require 'torch'")
  t.equal(code, 9, output)
  t.contains(output, 'the pthread build of OpenBLAS is loaded')
  t.contains(output, 'fix it with: unset LD_PRELOAD')
  output, code = t.shell(preload .. ' run -e ' .. t.quote [[
for i = 1, 2 do print(select(2, pcall(require, 'lanthorn')):match 'the pthread build') end]])
  t.equal(output, 'the pthread build\nthe pthread build\n')
  t.equal(code, 0, output)
end)

-- Runs f with these variables (false: none) in place of those of the test.
local function with_environment(values, f)
  local before = {}
  for name, value in pairs(values) do
    before[name] = host.getenv(name) or false
    host.setenv(name, value or nil)
  end
  local results = { pcall(f) }
  for name, value in pairs(before) do host.setenv(name, value or nil) end
  assert(results[1], results[2])
  return results[2]
end

t.test('the pthread build alone is refused, with the command that fits', function()
  local blas_check = require 'blas.threading'
  for _, threading in ipairs { 'openmp', 'sequential', 'unknown' } do blas_check.refuse(threading) end
  local files = { '/nowhere/libopenblas.so.0' }
  local ok, problem = pcall(blas_check.refuse, 'pthreads', function() return files end)
  t.equal(ok, false)
  t.equal(require('fail').code_of(problem), 9)
  t.contains(tostring(problem), 'fix it with: ' .. blas_check.fix(files))
end)

t.test('a variable is to be unset only where it brings the library in question', function()
  local blas_check = require 'blas.threading'
  t.shell(('cd %s && mkdir -p lib empty && cd lib && touch libopenblasp-r0.3.so && '
    .. 'ln -s libopenblasp-r0.3.so libopenblas.so.0'):format(folder))
  local files = { host.realpath(folder .. '/lib/libopenblasp-r0.3.so') }
  local function source(preload, path)
    return with_environment({ LD_PRELOAD = preload, LD_LIBRARY_PATH = path }, function()
      return blas_check.source(files) or 'none'
    end)
  end
  t.equal(source(false, false), 'none')
  t.equal(source('/usr/lib/libjemalloc.so.2', folder .. '/empty:/nowhere'), 'none')
  t.equal(source('/usr/lib/libjemalloc.so.2:' .. folder .. '/lib/libopenblas.so.0', false), 'LD_PRELOAD')
  t.equal(source('libopenblas.so.0', false), 'LD_PRELOAD')
  t.equal(source('libjemalloc.so.2', false), 'none')
  t.equal(source('libjemalloc.so.2', folder .. '/empty:' .. folder .. '/lib'), 'LD_LIBRARY_PATH')
  local function fix(preload)
    return with_environment({ LD_PRELOAD = preload, LD_LIBRARY_PATH = false }, function()
      return blas_check.fix(files)
    end)
  end
  t.equal(fix(folder .. '/lib/libopenblas.so.0'), 'unset LD_PRELOAD')
  t.contains(fix '/usr/lib/libjemalloc.so.2', 'apt-get install libopenblas0-openmp')
end)

-- A finding of a part of the libraries where they are as they should be but for `changes`.
local function finding(part, changes, flags, missing)
  local libraries = {
    blas = 'OpenBLAS 0.3.21 Haswell MAX_THREADS=64', blas_threading = 'openmp',
    blas_files = { '/lib/libopenblas.so.0' }, openmp_files = { '/lib/libgomp.so.1.0.0' },
    onednn = '2.6.3', onednn_isa = 'avx2', bf16 = 'none' }
  for key, value in pairs(changes) do libraries[key] = value end
  return require('doctor.' .. part).look { libraries = libraries, blas = { wrong = {} },
    machine = { flags = flags or { 'avx2' } },
    diagnostics = { missing_precision = function() return missing end } }
end

t.test('several OpenMP runtimes have a fix of their own, which names them', function()
  local quiet = { LD_PRELOAD = false, LD_LIBRARY_PATH = false }
  with_environment(quiet, function()
    t.equal(finding('blas', {}).mark, 'ok')
    local copies = finding('blas', { openmp_files = { '/torch/lib/libgomp-a34b3233.so.1', '/lib/libgomp.so.1.0.0' } })
    t.equal(copies.mark, 'FAIL')
    t.equal(copies.fix, { "ln -sf '/lib/libgomp.so.1.0.0' '/torch/lib/libgomp-a34b3233.so.1'" })
    t.contains(table.concat(copies.text, '\n'), '/torch/lib/libgomp-a34b3233.so.1, /lib/libgomp.so.1.0.0')
    local other = finding('blas', { openmp_files = { '/lib/libgomp.so.1.0.0', '/llvm/libomp.so.5' } })
    t.equal(other.fix, { "LD_DEBUG=files runner doctor --quick 2>&1 | grep 'file=libomp.so.*needed by'" })
    local both = finding('blas', { blas_files = { '/a/libopenblas.so.0', '/b/libblis.so.4' },
      openmp_files = { '/lib/libgomp.so.1.0.0', '/llvm/libomp.so.5' } })
    t.equal(#both.fix, 2)
    t.contains(both.fix[1], 'apt-get install libopenblas0-openmp')
  end)
end)

t.test('a BLAS that does not say how it threads is not said to use one thread', function()
  local unknown = finding('blas', { blas_threading = 'unknown' })
  t.equal(unknown.mark, 'warn')
  t.contains(table.concat(unknown.text, '\n'), 'does not say how it makes its threads')
  local sequential = finding('blas', { blas_threading = 'sequential' })
  t.contains(table.concat(sequential.text, '\n'), 'uses one thread only')
end)

t.test('bf16 that oneDNN is kept from is mended by unsetting the variable that is set', function()
  local flags = { 'avx2', 'avx512f', 'avx512_bf16' }
  for _, name in ipairs { 'ONEDNN_MAX_CPU_ISA', 'DNNL_MAX_CPU_ISA' } do
    with_environment({ ONEDNN_MAX_CPU_ISA = false, DNNL_MAX_CPU_ISA = false, [name] = 'AVX2' }, function()
      for _, part in ipairs { 'bf16', 'onednn' } do
        local found = finding(part, {}, flags, 'no bf16')
        t.fields(found, { mark = 'warn', fix = { 'unset ' .. name } })
      end
    end)
  end
  with_environment({ ONEDNN_MAX_CPU_ISA = false, DNNL_MAX_CPU_ISA = false }, function()
    t.contains(finding('bf16', {}, flags, 'no bf16').fix[1], 'apt-get')
  end)
end)

t.test('bf16 that oneDNN accepts without instructions for it is said to be slow, not absent', function()
  local slow = finding('bf16', { onednn_isa = 'avx512_core' }, { 'avx2', 'avx512f' })
  t.equal(slow.mark, 'none')
  t.equal(slow.data.accepted, true)
  t.contains(slow.text[1], 'train.precision=bf16 is accepted, but slow')
  local none = finding('bf16', {}, { 'avx2' }, 'no bf16')
  t.equal(none.mark, 'none')
  t.equal(none.data.accepted, false)
  t.contains(none.text[1], 'needs train.emulate=true')
  local fast = finding('bf16', { bf16 = 'amx' }, { 'amx_bf16' })
  t.equal(fast.mark, 'ok')
  t.equal(#fast.text, 1)
end)

t.test('a corpus that is away or changed is a warning that says how to get it', function()
  t.shell(('mkdir -p %s/data; echo changed > %s/data/tinyshakespeare.txt'):format(folder, folder))
  local checks, _, code = doctor(('RUNNER_DATA_DIR=%s/data XDG_CACHE_HOME=%s'):format(folder, folder))
  t.equal(code, 0)
  t.equal(checks.data.mark, 'warn')
  t.contains(checks.data.text, 'has another checksum')
  t.contains(table.concat(checks.data.fix, '\n'), ("rm '%s/data/tinyshakespeare.txt'"):format(folder))
  t.shell(('rm %s/data/tinyshakespeare.txt'):format(folder))
  checks = doctor(('RUNNER_DATA_DIR=%s/data XDG_CACHE_HOME=%s'):format(folder, folder))
  t.contains(checks.data.text, 'tinyshakespeare: not here')
  t.contains(table.concat(checks.data.fix, '\n'), 'runner data fetch tinyshakespeare')
end)

t.test('the screen has a mark for each check and fits 80 columns, paths and commands aside', function()
  local output, code = t.shell(CLEAN .. ('COLUMNS=80 RUNNER_DATA_DIR= XDG_CACHE_HOME=%s '):format(folder) .. DOCTOR)
  t.equal(code, 0, output)
  local marks = 0
  for line in output:gmatch '[^\n]+' do
    if line:find '^ok%s' or line:find '^warn%s' or line:find '^%-%s' then marks = marks + 1 end
    local whole = line:find '^%s+> ' or line:find '^%s+%S+$' or line:find "'/"
    t.is_true(#line <= 80 or whole ~= nil, line)
  end
  t.equal(marks, 13)
  t.matches(output, '\n%d+ ok, %d+ warnings?, 0 failed\n$')
end)

t.test('threads are the option, else the environment, else the cores; too many are told', function()
  local function settings(environment, words)
    local runner = t.quote(host.folder .. '/runner')
    return (t.shell(('%s %s %s run -q %s -e %s'):format(CLEAN, environment, runner, words, t.quote [[
local torch, s = require 'torch', require 'boot.native'.settings()
print(torch.get_num_threads(), s.threads.from, s.wait.value, s.wait.from, s.pinning.value, s.pinning.from)]])))
  end
  local cores = host.cores()
  t.equal(settings('', ''), cores .. '\tdefault\tpassive\tdefault\tnone\tdefault\n')
  t.equal(settings('OMP_NUM_THREADS=1', ''), '1\tOMP_NUM_THREADS\tpassive\tdefault\tnone\tdefault\n')
  t.equal(settings('OMP_NUM_THREADS=1,4', ''), '1\tOMP_NUM_THREADS\tpassive\tdefault\tnone\tdefault\n')
  t.equal(settings('OMP_NUM_THREADS=2 OMP_WAIT_POLICY=ACTIVE', '--threads 1 --pin'),
    '1\t--threads\tactive\tOMP_WAIT_POLICY\tclose\t--pin\n')
  t.equal(settings('OMP_PROC_BIND=spread', '--threads 1 --pin'),
    '1\t--threads\tpassive\tdefault\tspread\tOMP_PROC_BIND\n')
  t.contains(settings('', '--threads ' .. cores + 1),
    ('warning: %d threads (--threads) for %d core'):format(cores + 1, cores))
  t.contains(settings('OMP_NUM_THREADS=many', ''), "warning: OMP_NUM_THREADS is 'many', which is not a thread count")
  -- What a runner leaves to those that it starts is a choice of theirs again, an own spin stays.
  t.equal(settings('OMP_WAIT_POLICY=passive GOMP_SPINCOUNT=2000', ''),
    cores .. '\tdefault\tpassive\tdefault\tnone\tdefault\n')
  t.equal(settings('OMP_WAIT_POLICY=passive GOMP_SPINCOUNT=9', ''),
    cores .. '\tdefault\tpassive\tOMP_WAIT_POLICY\tnone\tdefault\n')
end)

t.test('threads that wait look for work a moment, but not where there are more of them than cores', function()
  local function spin(words)
    local runner = t.quote(host.folder .. '/runner')
    return (t.shell(('%s %s run -q %s -e %s 2>/dev/null'):format(CLEAN, runner, words, t.quote [[
require 'torch' print(os.getenv 'GOMP_SPINCOUNT')]])))
  end
  t.equal(spin '', '2000\n')
  t.equal(spin('--threads ' .. host.cores() + 1), 'nil\n')
end)

t.test('a word that doctor has no use for is refused', function()
  local output, code = t.runner('doctor', 'blas')
  t.equal(code, 2, output)
  t.contains(output, "doctor looks at everything and takes no 'blas'")
  output, code = t.runner('doctor', 'train.seed=1')
  t.equal(code, 2, output)
  t.contains(output, "the override 'train.seed=1' needs --seeds SCRIPT or --gradcheck SCRIPT")
end)
