-- The training step of the K-1 tree: 41 nodes, words; plain, with selection, with T-Score; P6.
local harness = require 'benchmark.harness'
local language_model = require 'benchmark.language_model'
local models = require 'models'

local k1 = { summary = 'K-1 tree training step: 64 x 64 tokens, 41 nodes of width 128, vocabulary 10,000, 8,010,128 '
  .. 'parameters, AdamW' }

local function build()
  return models.k1_tree { vocab = 10000, max_len = 64, branching = { 4, 3, 2 }, d_model = 128, heads = 4, ff = 256 }
end

function k1.run(context)
  local flop = language_model.flop(64 * 64, 64, 128, 256, 41, 10000)
  local function case(name, o)
    o.build, o.vocab, o.rows, o.seq = build, 10000, 64, 64
    return { name = name, precision = 'fp32', run = language_model.steps(o), flop = flop, peers = { 'k1' } }
  end
  local rows = harness.interleave(context, { case('all nodes', {}), case('one path', { select = { rule = 'path' } }),
    case('one path, T-Score of all 64', { select = { rule = 'path' }, sections = { tscore = { every = 1 } } }) })
  return { rows = rows, bars = {
    harness.bar('P6', 'PyTorch plain step / ours with selection', rows[2].ratio, { accept = 2.5, aim = 4 }),
    harness.bar('K-1', 'one path / all nodes', harness.ratio(rows[2].ours_ms, rows[1].ours_ms),
      { accept = 1.03, aim = 1.01, less = true }),
    harness.bar('P9', 'with T-Score / without', harness.ratio(rows[3].ours_ms, rows[2].ours_ms),
      { accept = 1.10, aim = 1.04, less = true }),
  } }
end

return k1
