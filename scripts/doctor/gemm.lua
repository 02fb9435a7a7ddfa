-- Rates of matrix products on one and on all threads.
local blas_core = require 'blas.core'
local finding = require 'base.finding'

-- at::mm below this share of oneDNN's rate on one thread is judged; kernels of the right kind reach two thirds and
-- more.
local SLOW_BLAS = 0.45

return { place = 12, slow = true, look = function(context)
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
  local found = finding.new(text, { threads = threads, rates = data })
  if plain < SLOW_BLAS * one then
    found:problem('warn',
      ("at::mm, that is OpenBLAS, has %.0f %% of oneDNN's rate: products of a model's own layers are slow")
      :format(100 * plain / one), blas_core.fix(context.blas))
  end
  if threads > 1 and all < 1.2 * one then
    found:problem('warn', 'more threads bring nothing: the machine is busy, or the cores are shared',
      'ps -eo pid,pcpu,etime,args --sort=-pcpu | head')
  end
  return found
end }
