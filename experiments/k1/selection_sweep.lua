-- selection_sweep: which selection rule learns best, at equal tokens and at equal effective updates?
local arms, experiment, data, k1 = require 'arms', require 'experiment', require 'data', require 'research.k1'
local equal_budget = require 'research.equal_budget'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' } }, batch = 16, seq = 64, batches = 100 },
  model = { branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0),
    forward = 'level_mean' },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  train = { epochs = 10 },
  eval = { val_cap = 50 },
  sweep = { seeds = { 1, 2, 3 },
    rules = { 'path', 'random_path', 'round_robin', 'lowest', 'cooldown', 'ucb', 'topk', 'weight_topk', 'all', 'none',
      'published' },
    budget = 0.8 }, -- the share of the first rule's updates whose effective updates all are given
}

k1.check_names(cfg.sweep.rules, 'rule')
experiment.varies({ 'select.rule' }, 'set sweep.rules')
local text = data.domains(cfg.domains)
local SLOWER = 'all; lr x effective share of path'
local reasons = { none = 'moves shared parameters alone',
  published = 'masks gradients, whose shares an adaptive optimiser ignores' }
local first -- the rule that sets the budget: the first that can be compared
for _, rule in ipairs(cfg.sweep.rules) do first = first or not reasons[rule] and rule end
local limits, effective, cells = {}, {}, {} -- by seed: effective updates; the effective share of an update by path

local function train(rule, seed, given, optim)
  local budget = equal_budget.callback('effective_updates', given)
  local numbers, fit = k1.train(cfg, text,
    { seed = seed, select = { rule = rule }, optim = optim, callbacks = { budget } })
  local at = fit.at_budget
  numbers.loss_at_updates, numbers.updates_then = at and at.loss, at and at.step
  return numbers, at
end

for i, rule in ipairs(cfg.sweep.rules) do
  cells[i] = { rule, function(seed)
    local given = rule == first and { share = cfg.sweep.budget } or not reasons[rule] and { limit = limits[seed] } or {}
    local numbers, at = train(rule, seed, given)
    if rule == first then limits[seed] = at and at.spent end
    if rule == 'path' then effective[seed] = numbers.effective_pct / 100 end
    return numbers
  end }
end
-- What a path moves in effect may be no more than a smaller learning rate: as many effective updates at every update.
for _, rule in ipairs(cfg.sweep.rules) do
  if rule == 'path' then
    cells[#cells + 1] = { SLOWER, function(seed)
      local optim = {}
      for key, value in pairs(cfg.optim) do optim[key] = value end
      optim.lr = optim.lr * effective[seed]
      local numbers = train('all', seed, { share = first == 'path' and cfg.sweep.budget or nil }, optim)
      numbers.effective_pct = 100 * effective[seed]
      return numbers
    end }
  end
end
reasons[SLOWER] = 'is measured by path, which is not the first rule'
local result = arms.run { seeds = cfg.sweep.seeds, arms = cells }
arms.print(result, { { 'val_loss', 'val loss, equal tokens' },
  { 'loss_at_updates', 'val loss, equal effective updates' }, { 'updates_then', 'updates by then' },
  { 'effective_updates', 'effective updates' }, { 'effective_pct', 'effective %' }, { 'leaf_gini', 'leaf Gini' },
  { 'dead', 'never selected' } })
print('\nAt equal tokens. ' .. arms.finding(result, 'val_loss', 'val loss'))
local missing = equal_budget.missing(result, 'loss_at_updates', reasons)
if missing then print('At equal effective updates. ' .. missing) end
if first then
  local from_first = arms.against(result, first)
  arms.print_differences(from_first, 'loss_at_updates', 'val loss, equal effective updates')
  print('\nAt equal effective updates. ' .. arms.finding(from_first, 'loss_at_updates', 'val loss'))
end
