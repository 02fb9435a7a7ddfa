-- The training step of a small GPT, RandyGPT v0.3, without and with T-Score; P5.
local harness = require 'benchmark.harness'
local language_model = require 'benchmark.language_model'
local models = require 'models'

local gpt08 = { summary = 'GPT training step: 32 x 64 characters, 4 layers of width 128, 8 heads, 811,776 parameters, '
  .. 'AdamW' }

local function build() return models.randygpt { vocab = 67 } end

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
