-- The core that OpenBLAS is asked for: what the CPU can run and was found right, never over the user's own setting.
local blas_core = require 'blas.core'
local blas_test = require 'blas.self_test'
local dkjson = require 'dkjson'
local ffi = require 'ffi'
local host = require 'host'
local t = require 'testing'

local function set(words)
  local made = {}
  for word in words:gmatch '%S+' do made[word] = true end
  return made
end

local AVX = set 'avx'
local AVX2 = set 'avx avx2 fma'
local AVX512 = set 'avx avx2 fma avx512f avx512bw avx512dq avx512vl'
local AVX512_BF16 = set 'avx avx2 fma avx512f avx512bw avx512dq avx512vl avx512_bf16'

-- An OpenBLAS that takes the core `own` by itself, has the cores of `built` and computes wrong with those of `wrong`.
local function library(own, built, wrong)
  return function(name)
    local core = name and (built or 'Cooperlake SkylakeX Haswell Sandybridge'):find(name, 1, true) and name or own
    return core, core and (wrong or ''):find(core, 1, true) and 'cblas_sgemm is wrong' or nil
  end
end

local function chosen(flags, own, built, wrong) return blas_core.decide(flags, library(own, built, wrong)).core end

t.test('a CPU that OpenBLAS takes for an old one gets what it can run', function()
  t.equal(chosen(AVX512_BF16, 'Prescott'), 'COOPERLAKE')
  t.equal(chosen(AVX512, 'Prescott'), 'SKYLAKEX')
  t.equal(chosen(AVX512, 'Haswell'), 'SKYLAKEX')
  t.equal(chosen(AVX2, 'Prescott'), 'HASWELL')
  t.equal(chosen(AVX, 'Nehalem'), 'SANDYBRIDGE')
end)

t.test('what OpenBLAS takes by itself stays when it is as good, or newer than the table', function()
  t.equal(chosen(AVX2, 'Zen'), nil)
  t.equal(chosen(AVX512, 'SkylakeX'), nil)
  t.equal(chosen(AVX512_BF16, 'Sapphirerapids'), nil)
  t.equal(chosen({}, 'Prescott'), nil)
end)

t.test('cores that compute wrong, are missing or crash are passed over', function()
  local decided = blas_core.decide(AVX512_BF16, library('Prescott', nil, 'Cooperlake SkylakeX'))
  t.equal(decided.core, 'HASWELL')
  t.equal(decided.wrong, { 'Cooperlake: cblas_sgemm is wrong', 'SkylakeX: cblas_sgemm is wrong' })
  t.equal(chosen(AVX512_BF16, 'Prescott', 'Haswell'), 'HASWELL')
  t.equal(chosen(AVX2, 'Zen', nil, 'Zen'), 'HASWELL') -- as fast as its own, but right
  local crashed = blas_core.decide(AVX2, function(name)
    if name then return nil, 'it does not run here' end
    return 'Prescott', nil
  end)
  t.equal(crashed.core, nil)
  t.equal(crashed.wrong, { 'Haswell: it does not run here', 'Sandybridge: it does not run here' })
  t.equal(blas_core.decide(AVX2, library('Zen', nil, 'Zen Haswell Sandybridge')).unfit, true)
end)

t.test('the self-test finds one wrong number in one shape', function()
  local right = ffi.load(host.openblas)
  t.equal(blas_test.fault(right), nil)
  for _, name in ipairs { 'cblas_sgemm', 'cblas_dgemm' } do
    local wrong = setmetatable({}, { __index = function(_, key) return right[key] end })
    wrong[name] = function(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
      right[name](order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
      if m == 129 and ta == 112 and tb == 111 then c[ldc * 128 + 62] = c[ldc * 128 + 62] * 1.01 + 0.01 end
    end
    t.is_true(blas_test.fault(wrong):find('^' .. name .. ' of 129 x 63 x 130: .* at %(128, 62%), right is') ~= nil,
      blas_test.fault(wrong))
  end
  local wrong = setmetatable({ cblas_sdot = function(...) return right.cblas_sdot(...) + 0.5 end },
    { __index = function(_, key) return right[key] end })
  t.is_true(blas_test.fault(wrong):find '^cblas_sdot of 1:' ~= nil)
end)

local RUNNER = t.quote(host.folder .. '/runner')
local folder = t.temporary_folder()

local function blas(environment)
  local output = t.shell(('env -u OPENBLAS_CORETYPE XDG_CACHE_HOME=%s %s %s doctor --quick --json')
    :format(folder, environment, RUNNER))
  for line in output:gmatch '[^\n]+' do
    local object = dkjson.decode(line)
    if object and object.name == 'blas' then return object end
  end
  error(output)
end

t.test('a self-test comes to its end while threads of the library still wait for work', function()
  for _ = 1, 10 do
    local output, code = t.shell(('env -u OPENBLAS_CORETYPE OMP_WAIT_POLICY=active OMP_NUM_THREADS=2 %s blas-test')
      :format(RUNNER))
    t.equal(code, 0, output)
    t.contains(output, '\nright\n')
  end
end)

t.test('every core this CPU can run is right here, and the choice is kept', function()
  local first = blas ''
  t.equal(table.concat(first.data.wrong_cores, '; '), '')
  t.equal(first.mark, 'ok')
  local kept = host.listdir(folder .. '/lanthorn/blas')
  t.equal(#kept, 1)
  t.equal(blas('').data, first.data)
  -- A file that was cut is made again.
  local path = folder .. '/lanthorn/blas/' .. kept[1]
  local file = io.open(path, 'w')
  file:write 'return { key ='
  file:close()
  t.equal(blas('').data, first.data)
  t.equal(require('json').read(path).core, first.data.core_from == 'this CPU' and first.data.core:upper() or nil)
  t.equal(blas('XDG_CACHE_HOME=/dev/null/x').data, first.data)
  t.equal(blas('OPENBLAS_CORETYPE=').data, first.data)
end)

t.test("the user's own setting stands; one that is slower than it could be is named", function()
  local given = blas 'OPENBLAS_CORETYPE=PRESCOTT'
  t.fields(given.data, { core = 'Prescott', core_from = 'OPENBLAS_CORETYPE' })
  local flags = t.shell 'grep -m1 ^flags /proc/cpuinfo'
  if flags:find ' avx2 ' then
    t.equal(given.mark, 'warn')
    t.equal(given.fix, { 'unset OPENBLAS_CORETYPE' })
  end
end)
