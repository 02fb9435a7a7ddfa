-- The training step of RandyGPT v0.4 without its dropout, width 256 and 6 layers, without and with T-Score.
local harness = require 'benchmark.harness'
local language_model = require 'benchmark.language_model'
local models = require 'models'

local randygpt = { summary = 'GPT training step: 32 x 64 characters, 6 layers of width 256, 8 heads, 4,769,280 '
  .. 'parameters, AdamW' }

local function build() return models.randygpt { vocab = 67, version = 'v0.4', dropout = 0 } end

function randygpt.run(context)
  local flop = language_model.flop(32 * 64, 64, 256, 1024, 6, 67)
  local function case(name, sections)
    return { name = name, precision = 'fp32', flop = flop, peers = { 'randygpt' },
      run = language_model.steps { build = build, vocab = 67, rows = 32, seq = 64, sections = sections } }
  end
  local rows = harness.interleave(context,
    { case('no T-Score', {}), case('T-Score of all 32', { tscore = { every = 1 } }) })
  return { rows = rows, bars = {
    harness.bar('P9', 'with T-Score / without', harness.ratio(rows[2].ours_ms, rows[1].ours_ms),
      { accept = 1.10, aim = 1.04, less = true }),
  } }
end

return randygpt
