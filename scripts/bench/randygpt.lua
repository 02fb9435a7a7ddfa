-- The training step of RandyGPT v0.4 without its dropout, width 256 and 6 layers, without and with T-Score.
local language_model = require 'benchmark.language_model'
local models = require 'models'

local randygpt = { summary = 'GPT training step: 32 x 64 characters, 6 layers of width 256, 8 heads, 4,769,280 '
  .. 'parameters, AdamW' }

local function build() return models.randygpt { vocab = 67, version = 'v0.4', dropout = 0 } end

function randygpt.run(context)
  local rows, by, notes = language_model.measure(context, { peer = 'randygpt', build = build,
    vocab = 67, rows = 32, seq = 64, flop = language_model.flop(32 * 64, 64, 256, 1024, 6, 67) })
  return { rows = rows, notes = notes, bars = { language_model.cost_bar(by) } }
end

return randygpt
