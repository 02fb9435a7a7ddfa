-- seq_len_ablation: how much does a longer context help a tree with path updates, at equal tokens an update?
local arms, experiment, data, k1 = require 'arms', require 'experiment', require 'data', require 'k1'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' } } },
  model = { branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0), forward = 'level_mean' },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  select = { rule = 'path' },
  train = { epochs = 1 },
  sweep = { lengths = { 16, 32, 64, 128 }, tokens = 1024, updates = 1000, seeds = { 1, 2, 3 } },
  eval = { val_cap = 50 },
}

local cells = {}
for i, length in ipairs(cfg.sweep.lengths) do
  if length < 1 then require('fail').config('sweep.lengths[%d] is %d, expected at least 1 token', i, length) end
  local text = data.domains { texts = cfg.domains.texts, batch = math.max(1, math.floor(cfg.sweep.tokens / length)), seq = length,
    batches = cfg.sweep.updates }
  cells[i] = { ('%d tokens'):format(length), function(seed) return (k1.train(cfg, text, { seed = seed, select = cfg.select })) end }
end
local result = arms.run { seeds = cfg.sweep.seeds, arms = cells }
arms.print(result, { { 'val_loss', 'val loss' }, { 'step_ms', 'ms an update' }, { 'leaf_gini', 'leaf Gini' } })
print('\n' .. arms.finding(result, 'val_loss', 'val loss'))
