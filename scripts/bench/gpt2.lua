-- The training step of GPT-2 small on 4 x 64 tokens, without and with T-Score; P8.
local harness = require 'benchmark.harness'
local language_model = require 'benchmark.language_model'
local models = require 'models'

local gpt2 = { summary = 'GPT-2 small training step: 4 x 64 tokens, 124,439,808 parameters, AdamW' }

local function build() return models.gpt2 { dropout = 0 } end

function gpt2.run(context)
  local rows, by, notes = language_model.measure(context, { peer = 'gpt2', build = build,
    vocab = 50257, rows = 4, seq = 64, flop = language_model.flop(4 * 64, 64, 768, 3072, 12, 50257) })
  return { rows = rows, notes = notes, bars = {
    harness.bar('P8', 'PyTorch / ours, without T-Score', by.fp32.plain.ratio, { accept = 1.3, aim = 1.8 }),
    harness.bar('P8', 'the same in bf16', by.bf16 and by.bf16.plain.ratio, { accept = 1.5, aim = 2.2 }),
    language_model.cost_bar(by),
  } }
end

return gpt2
