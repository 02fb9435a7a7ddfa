-- The training step of a small GPT, without and with T-Score; P5. Our norms have a gain and there is one before the
-- head, 1,152 parameters more than PyTorch's side has.
local harness = require 'benchmark.harness'
local language_model = require 'benchmark.language_model'
local models = require 'models'

local gpt08 = { summary = 'GPT training step: 32 x 64 characters, 4 layers of width 128, 8 heads, 812,928 parameters, '
  .. 'AdamW' }

local function build()
  return models.transformer_lm { vocab = 67, max_len = 64, d_model = 128, heads = 8, ff = 512, layers = 4,
    norm_first = true, norm = 'rms', activation = 'relu2', bias = false }
end

function gpt08.run(context)
  local flop = language_model.flop(32 * 64, 64, 128, 512, 4, 67)
  local function case(name, sections)
    return { name = name, precision = 'fp32', flop = flop, peers = { 'gpt08' },
      run = language_model.steps { build = build, vocab = 67, rows = 32, seq = 64, sections = sections } }
  end
  local rows = harness.interleave(context,
    { case('no T-Score', {}), case('T-Score of all 32', { tscore = { every = 1 } }) })
  return { rows = rows, bars = {
    harness.bar('P5', 'PyTorch without T-Score / ours with', rows[2].ratio, { accept = 1.8, aim = 2.8 }),
    harness.bar('P9', 'with T-Score / without', harness.ratio(rows[2].ours_ms, rows[1].ours_ms),
      { accept = 1.10, aim = 1.04, less = true }),
  } }
end

return gpt08
