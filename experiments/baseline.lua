-- baseline: the dense transformer that K-1 was compared with (four blocks), trained by the loop, data and budget of k1_tree.lua.
local experiment, data, k1 = require 'experiment', require 'data', require 'k1'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' } }, batch = 16, seq = 64, batches = 200 },
  model = { name = 'dense_4', branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0),
    forward = 'level_mean' },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  train = { epochs = 10, seed = 42 },
  eval = { val_cap = 50 },
}

local text = data.domains(cfg.domains)
local numbers = k1.train(cfg, text, { model = cfg.model.name, seed = cfg.train.seed })
print(('Found: %s with %d parameters ends at %.4f nats after %d updates, %.1f ms each.'):format(cfg.model.name, numbers.parameters,
  numbers.val_loss or 0 / 0, numbers.updates, numbers.step_ms or 0 / 0))
