-- selection_sweep: which selection rule learns best, at equal tokens and at equal effective updates?
local arms, experiment, data, k1 = require 'arms', require 'experiment', require 'data', require 'k1'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' } }, batch = 16, seq = 64, batches = 100 },
  model = { branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0), forward = 'level_mean' },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  train = { epochs = 10 },
  eval = { val_cap = 50 },
  sweep = { seeds = { 1, 2, 3 }, rules = { 'path', 'random_path', 'round_robin', 'lowest', 'cooldown', 'ucb', 'topk', 'weight_topk', 'all',
    'none', 'published' } },
}

local text = data.domains(cfg.domains)
local SLOWER = 'all; lr x effective share of path'
local curves, cells = {}, {} -- rule -> seed -> { effective updates, loss } of each epoch
local effective = {}         -- seed -> effective share of an update by path
for i, rule in ipairs(cfg.sweep.rules) do
  curves[rule] = {}
  cells[i] = { rule, function(seed)
    local numbers, fit = k1.train(cfg, text, { seed = seed, select = { rule = rule } })
    local curve = {}
    for e, epoch in ipairs(fit.epochs) do curve[e] = { e / #fit.epochs * numbers.effective_updates, epoch.val_loss } end
    curves[rule][seed] = curve
    if rule == 'path' then effective[seed] = numbers.effective_pct / 100 end
    return numbers
  end }
end
-- What a path moves in effect may be no more than a smaller learning rate.
for _, rule in ipairs(cfg.sweep.rules) do
  if rule == 'path' then
    cells[#cells + 1] = { SLOWER, function(seed)
      local optim = {}
      for key, value in pairs(cfg.optim) do optim[key] = value end
      optim.lr = optim.lr * effective[seed]
      local numbers, fit = k1.train(cfg, text, { seed = seed, select = { rule = 'all' }, optim = optim })
      numbers.effective_pct, numbers.effective_updates = 100 * effective[seed], fit.steps * effective[seed]
      curves[SLOWER] = curves[SLOWER] or {}
      curves[SLOWER][seed] = {}
      for e, epoch in ipairs(fit.epochs) do curves[SLOWER][seed][e] = { e / #fit.epochs * numbers.effective_updates, epoch.val_loss } end
      return numbers
    end }
  end
end
local result = arms.run { seeds = cfg.sweep.seeds, arms = cells }
-- Each rule where it had made as many effective updates as the rule with the fewest had in all.
for s, seed in ipairs(result.seeds) do
  local limit = math.huge
  for _, arm in ipairs(result.arms) do limit = math.min(limit, arm.cells[s].effective_updates) end
  for _, arm in ipairs(result.arms) do
    for _, point in ipairs(curves[arm.name][seed]) do
      if point[1] <= limit * 1.0001 then arm.cells[s].loss_at_updates = point[2] end
    end
  end
end
arms.print(result, { { 'val_loss', 'val loss, equal tokens' }, { 'loss_at_updates', 'val loss, equal effective updates' },
  { 'effective_pct', 'effective %' }, { 'leaf_gini', 'leaf Gini' }, { 'dead', 'nodes never' } })
print('\nAt equal tokens. ' .. arms.finding(result, 'val_loss', 'val loss'))
