-- The char-LSTM training step, with and without T-Score, in every precision of the CPU; P9.
local harness = require 'benchmark.harness'
local char_rnn = require 'benchmark.char_rnn'

local lstm = { summary = 'char-LSTM training step: 64 x 100 characters, Adam' }

function lstm.run(context)
  local rows, by, notes = char_rnn.measure(context, 'lstm')
  return { rows = rows, bars = {
    harness.bar('P9', 'with T-Score / without', by.fp32.cost, { accept = 1.10, aim = 1.04, less = true }),
  }, notes = notes }
end

return lstm
