-- The char-GRU training step, with and without T-Score, in every precision of the CPU; P1, P2, P4 and P4b.
local harness = require 'benchmark.harness'
local char_rnn = require 'benchmark.char_rnn'

local gru = { summary = 'char-GRU training step: 64 x 100 characters, 716,225 parameters, Adam' }

local SHARE = 0.75 -- of the rate of dnnl_sgemm, which the aim of P1 asks for beside the ratio

-- PyTorch / ours without T-Score; nil where the CPU lacks the precision.
local function ratio(of)
  return of and of.plain.ratio
end

---The bars that the measured precisions stand for.
---@param by table of char_rnn.measure
---@return table[]
function gru.bars(by)
  local share = by.fp32.plain.gemm_share
  return {
    harness.bar('P1', 'PyTorch / ours, no T-Score', ratio(by.fp32), { accept = 3, aim = 4,
      also = { value = share, aim = SHARE, of = 'of GEMM' } }),
    harness.bar('P1', 'nominal FLOP/s of the step / dnnl_sgemm', share, { aim = SHARE }),
    harness.bar('P2', 'with T-Score / without', by.fp32.cost, { accept = 1.06, aim = 1.02, less = true }),
    harness.bar('P4', 'PyTorch / ours, bf16', ratio(by.bf16), { accept = 3.5, aim = 8 }),
    harness.bar('P4b', 'PyTorch fp32 / ours, fp32_split', ratio(by.fp32_split), { accept = 4, aim = 6 }),
  }
end

function gru.run(context)
  local rows, by, notes = char_rnn.measure(context, 'gru')
  return { rows = rows, bars = gru.bars(by), notes = notes }
end

return gru
