-- The training step of an encoder of BERT's base size on one row of 512 tokens, without and with T-Score; P8.
local harness = require 'benchmark.harness'
local language_model = require 'benchmark.language_model'
local models = require 'models'

local bert = { summary = 'encoder training step: 1 x 512 tokens, 12 post-norm layers of width 768, vocabulary 8,000, '
  .. '97,745,216 parameters, AdamW' }

local function build()
  return models.transformer_lm { vocab = 8000, max_len = 512, d_model = 768, heads = 12, ff = 3072, layers = 12,
    causal = false, positions = 'learned' }
end

function bert.run(context)
  local rows, by, notes = language_model.measure(context, { peer = 'bert', build = build,
    vocab = 8000, rows = 1, seq = 512, flop = language_model.flop(512, 512, 768, 3072, 12, 8000) })
  return { rows = rows, notes = notes, bars = {
    harness.bar('P8', 'PyTorch / ours, without T-Score', by.fp32.plain.ratio, { accept = 1.2, aim = 1.6 }),
    language_model.cost_bar(by),
  } }
end

return bert
