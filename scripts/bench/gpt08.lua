-- The training step of a small GPT, RandyGPT v0.3, without and with T-Score; P5.
local harness = require 'benchmark.harness'
local language_model = require 'benchmark.language_model'
local models = require 'models'

local gpt08 = { summary = 'GPT training step: 32 x 64 characters, 4 layers of width 128, 8 heads, 811,776 parameters, '
  .. 'AdamW' }

local function build() return models.randygpt { vocab = 67 } end

function gpt08.run(context)
  local rows, by, notes = language_model.measure(context, { peer = 'gpt08', build = build,
    vocab = 67, rows = 32, seq = 64, flop = language_model.flop(32 * 64, 64, 128, 512, 4, 67) })
  return { rows = rows, notes = notes, bars = {
    harness.bar('P5', 'PyTorch without T-Score / ours with', by.fp32.tscore.ratio, { accept = 1.8, aim = 2.8 }),
    harness.bar('P5', 'the same in bf16', by.bf16 and by.bf16.tscore.ratio, { accept = 1.8, aim = 4 }),
    language_model.cost_bar(by),
  } }
end

return gpt08
