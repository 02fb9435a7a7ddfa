-- k1_tree: does a tree of transformer blocks learn when each update moves one path, the one with the largest gradients?
local arms, experiment, data = require 'arms', require 'experiment', require 'data'
local k1, selection = require 'research.k1', require 'fit.selection'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' } }, batch = 16, seq = 64, batches = 200 },
  model = { branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0),
    forward = 'level_mean' },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  select = { rule = 'path' },
  train = { epochs = 10, seed = 42 },
  compare = { seeds = {} }, -- several, such as [1,2,3], for intervals; train.seed alone otherwise
  eval = { val_cap = 50 },
}

local text = data.domains(cfg.domains)
local report
local result = arms.run { seeds = #cfg.compare.seeds > 0 and cfg.compare.seeds or { cfg.train.seed }, arms = {
  { cfg.select.rule, function(seed)
    local numbers, fit = k1.train(cfg, text, { seed = seed, select = cfg.select })
    report = fit.selection.report
    return numbers
  end } } }
print(table.concat(selection.node_lines(report), '\n') .. '\n')
arms.print(result, { { 'val_loss', 'val loss' }, { 'updates', 'updates' }, { 'touched_pct', 'touched %' },
  { 'effective_pct', 'effective %' }, { 'leaf_entropy', 'leaf entropy' }, { 'leaf_gini', 'leaf Gini' },
  { 'dead', 'never selected' } })
print(('\nFound: %s (the backward costs that of all nodes).')
  :format(arms.sentence(result, 'val_loss', 'nats of val loss')))
