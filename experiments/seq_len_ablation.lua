-- seq_len_ablation: how much does a longer context help a tree with path updates, at equal tokens an update?
local arms, experiment, data = require 'arms', require 'experiment', require 'data'
local fail, k1 = require 'fail', require 'research.k1'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' } } },
  model = { branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0),
    forward = 'level_mean' },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  select = { rule = 'path' },
  train = { epochs = 1 },
  sweep = { lengths = { 16, 32, 64, 128 }, tokens = 1024, updates = 1000, seeds = { 1, 2, 3 } },
  eval = { val_cap = 50 },
}

experiment.varies({ 'domains.seq', 'domains.batch' }, 'set sweep.lengths and sweep.tokens')
experiment.varies({ 'domains.batches' }, 'set sweep.updates')
local cells = {}
for i, length in ipairs(cfg.sweep.lengths) do
  if length < 1 or cfg.sweep.tokens % length ~= 0 then
    fail.config('sweep.lengths[%d] is %d, expected a divisor of sweep.tokens, %d: every update has as many, '
      .. 'in whole windows', i, length, cfg.sweep.tokens)
  end
  local domains = {}
  for key, value in pairs(cfg.domains) do domains[key] = value end
  domains.batch, domains.seq = cfg.sweep.tokens / length, length
  domains.batches, domains.stride = cfg.sweep.updates, nil
  local text = data.domains(domains)
  cells[i] = { ('%d tokens'):format(length), function(seed)
    return (k1.train(cfg, text, { seed = seed, select = cfg.select }))
  end }
end
local result = arms.run { seeds = cfg.sweep.seeds, arms = cells }
arms.print(result, { { 'val_loss', 'val loss' }, { 'step_ms', 'ms an update' }, { 'leaf_gini', 'leaf Gini' } })
print('\n' .. arms.finding(result, 'val_loss', 'val loss'))
