-- The char-GRU training step, with and without T-Score; P1 and P2.
local bench = require 'bench'
local char_rnn = require 'bench_char_rnn'

local gru = { summary = 'char-GRU training step: 64 x 100 characters, 716,225 parameters, Adam' }

function gru.run(context)
  local rows, by = char_rnn.measure(context, 'gru')
  return { rows = rows, bars = {
    bench.bar('P1', 'PyTorch / ours, no T-Score', by.fp32.plain.ratio, { accept = 3, aim = 4 }),
    bench.bar('P2', 'with T-Score / without', by.fp32.cost, { accept = 1.06, aim = 1.02, less = true }),
  } }
end

return gru
