-- load_balance: how evenly do cooldown, exploration and confidence bounds spread what the plain path concentrates?
local arms, experiment, data, k1 = require 'arms', require 'experiment', require 'data', require 'research.k1'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' } }, batch = 16, seq = 64, batches = 500 },
  model = { branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0),
    forward = 'level_mean' },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  train = { epochs = 1 },
  eval = { val_cap = 50 },
  sweep = { seeds = { 1, 2, 3 } },
}

local text = data.domains(cfg.domains)
local function arm(name, select)
  return { name, function(seed)
    local numbers, fit = k1.train(cfg, text, { seed = seed, select = select })
    local counts, all = {}, 0
    for _, node in ipairs(fit.selection.report.nodes) do
      counts[#counts + 1], all = node.count, all + node.count
    end
    table.sort(counts, function(a, b) return a > b end)
    numbers.top3_pct = all > 0 and 100 * (counts[1] + (counts[2] or 0) + (counts[3] or 0)) / all or nil
    return numbers
  end }
end
local result = arms.run { seeds = cfg.sweep.seeds, arms = {
  arm('path', { rule = 'path' }),
  arm('cooldown 10', { rule = 'cooldown', cooldown = 10, explore = 0.1 }),
  arm('cooldown 50', { rule = 'cooldown', cooldown = 50, explore = 0.1 }),
  arm('cooldown 100, explore .15', { rule = 'cooldown', cooldown = 100, explore = 0.15 }),
  arm('ucb', { rule = 'ucb' }),
  arm('random path', { rule = 'random_path' }),
} }
arms.print(result, { { 'leaf_gini', 'leaf Gini' }, { 'leaf_entropy', 'leaf entropy' }, { 'top3_pct', 'top 3 nodes, %' },
  { 'dead', 'never selected' }, { 'val_loss', 'val loss' } })
print('\n' .. arms.finding(result, 'leaf_gini', 'leaf Gini'))
