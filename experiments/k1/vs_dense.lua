-- vs_dense: is a tree that moves one path an update better than dense models of its size, at equal tokens and time?
local arms, experiment, data, k1 = require 'arms', require 'experiment', require 'data', require 'research.k1'
local equal_budget = require 'research.equal_budget'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' } }, batch = 16, seq = 64, batches = 90 },
  model = { branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0),
    forward = 'level_mean' },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  train = { epochs = 10 },
  eval = { val_cap = 50 },
  compare = { seeds = { 1, 2, 3 }, time = 0.8 }, -- time: the share of the tree's updates whose time all are given
}

local text = data.domains(cfg.domains)
local PATH = 'tree, path'
local limits = {} -- seed -> seconds

local function arm(name, model, rule)
  return { name, function(seed)
    local spent = name == PATH and { share = cfg.compare.time } or { limit = limits[seed] }
    local numbers, fit = k1.train(cfg, text, { model = model, seed = seed, select = rule and { rule = rule },
      callbacks = { equal_budget.callback('seconds', spent) } })
    local at = fit.at_budget
    if name == PATH then limits[seed] = at and at.spent end
    numbers.loss_at_time, numbers.updates_at_time = at and at.loss, at and at.step
    return numbers
  end }
end

-- The arm that sets the time comes first in every seed.
local result = arms.run { seeds = cfg.compare.seeds, baseline = PATH, arms = { arm(PATH, 'tree', 'path'),
  arm('tree, random path', 'tree', 'random_path'), arm('tree, all nodes', 'tree', 'all'),
  arm('dense_deep', 'dense_deep'), arm('dense_wide', 'dense_wide'), arm('dense_4 (unmatched)', 'dense_4') } }

arms.print(result, { { 'val_loss', 'val loss, equal tokens' }, { 'loss_at_time', 'val loss, equal time' },
  { 'updates_at_time', 'updates by then' }, { 'step_ms', 'ms an update' },
  { 'tokens_per_s', 'tokens/s' }, { 'parameters', 'parameters' },
  { 'effective_pct', 'effective %' } })
print('\nAt equal tokens. ' .. arms.finding(result, 'val_loss', 'val loss'))
local missing = equal_budget.missing(result, 'loss_at_time', {})
if missing then print('At equal time. ' .. missing) end
arms.print_differences(result, 'loss_at_time', 'val loss, equal time')
print('\nAt equal time. ' .. arms.finding(result, 'loss_at_time', 'val loss'))
