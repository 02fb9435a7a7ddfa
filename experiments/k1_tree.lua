-- k1_tree: does a tree of transformer blocks learn when each update moves one path, the one with the largest gradients?
local experiment, data, k1, selection = require 'experiment', require 'data', require 'k1', require 'selection'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' } }, batch = 16, seq = 64, batches = 200 },
  model = { branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0), forward = 'level_mean' },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  select = { rule = 'path' },
  train = { epochs = 10, seed = 42 },
  eval = { val_cap = 50 },
}

local text = data.domains(cfg.domains)
local numbers, fit = k1.train(cfg, text, { seed = cfg.train.seed, select = cfg.select })
print(table.concat(selection.node_lines(fit.selection.report), '\n'))
print(('%d updates, val loss %.4f; an update touched %.1f %% of all parameters, %.1f %% in effect (backward cost: that of all nodes)')
  :format(numbers.updates, numbers.val_loss or 0 / 0, numbers.touched_pct, numbers.effective_pct))
print(('Found: rule %s ends at %.4f nats; the leaves are selected with a Gini coefficient of %s, %d of %d nodes never.'):format(
  cfg.select.rule, numbers.val_loss or 0 / 0, numbers.leaf_gini and ('%.2f'):format(numbers.leaf_gini) or 'NA', numbers.dead,
  #fit.selection.report.nodes))
