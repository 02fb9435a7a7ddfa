-- The training step of GPT-2 small on 4 x 64 tokens, without and with T-Score; P8.
local harness = require 'benchmark.harness'
local language_model = require 'benchmark.language_model'
local models = require 'models'

local gpt2 = { summary = 'GPT-2 small training step: 4 x 64 tokens, 124,439,808 parameters, AdamW' }

local function build() return models.gpt2 { dropout = 0 } end

function gpt2.run(context)
  local flop = language_model.flop(4 * 64, 64, 768, 3072, 12, 50257)
  local function case(name, sections)
    return { name = name, precision = 'fp32', flop = flop, peers = { 'gpt2' },
      run = language_model.steps { build = build, vocab = 50257, rows = 4, seq = 64, sections = sections } }
  end
  local rows = harness.interleave(context,
    { case('no T-Score', {}), case('T-Score of all 4', { tscore = { every = 1 } }) })
  return { rows = rows, bars = {
    harness.bar('P8', 'PyTorch / ours, without T-Score', rows[1].ratio, { accept = 1.3, aim = 1.8 }),
    harness.bar('P9', 'with T-Score / without', harness.ratio(rows[2].ours_ms, rows[1].ours_ms),
      { accept = 1.10, aim = 1.04, less = true }),
  } }
end

return gpt2
