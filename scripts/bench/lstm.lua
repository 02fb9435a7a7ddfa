-- The char-LSTM training step, with and without T-Score, in every precision of the CPU; P9.
local bench = require 'bench'
local char_rnn = require 'bench_char_rnn'

local lstm = { summary = 'char-LSTM training step: 64 x 100 characters, Adam' }

function lstm.run(context)
  local rows, by, notes = char_rnn.measure(context, 'lstm')
  return { rows = rows, bars = {
    bench.bar('P9', 'with T-Score / without', by.fp32.cost, { accept = 1.10, aim = 1.04, less = true }),
  }, notes = notes }
end

return lstm
