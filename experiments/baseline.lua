-- baseline: the dense transformer that K-1 was compared with, four blocks; loop, data and budget of k1_tree.lua.
local arms, experiment, data, k1 = require 'arms', require 'experiment', require 'data', require 'research.k1'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' } }, batch = 16, seq = 64, batches = 200 },
  model = { name = 'dense_4', branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0),
    forward = 'level_mean' },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  train = { epochs = 10, seed = 42 },
  compare = { seeds = {} }, -- several, such as [1,2,3], for intervals; train.seed alone otherwise
  eval = { val_cap = 50 },
}

local text = data.domains(cfg.domains)
local result = arms.run { seeds = #cfg.compare.seeds > 0 and cfg.compare.seeds or { cfg.train.seed }, arms = {
  { cfg.model.name, function(seed) return (k1.train(cfg, text, { model = cfg.model.name, seed = seed })) end } } }
arms.print(result, { { 'val_loss', 'val loss' }, { 'train_loss', 'train loss' }, { 'parameters', 'parameters' },
  { 'updates', 'updates' }, { 'step_ms', 'ms an update' } })
print(('\nFound: %s.'):format(arms.sentence(result, 'val_loss', 'nats of val loss')))
