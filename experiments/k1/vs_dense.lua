-- vs_dense: is a tree that moves one path an update better than dense models of its size, at equal tokens and at equal time?
local arms, experiment, data, k1 = require 'arms', require 'experiment', require 'data', require 'k1'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' } }, batch = 16, seq = 64, batches = 100 },
  model = { branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0), forward = 'level_mean' },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  train = { epochs = 10 },
  eval = { val_cap = 50 },
  compare = { seeds = { 1, 2, 3 } },
}

local text = data.domains(cfg.domains)
local curves = {} -- arm -> seed -> { seconds, loss } of each epoch

local function arm(name, model, rule)
  curves[name] = {}
  return { name, function(seed)
    local numbers, fit = k1.train(cfg, text, { model = model, seed = seed, select = rule and { rule = rule } })
    local curve, seconds = {}, 0
    for i, epoch in ipairs(fit.epochs) do
      seconds = seconds + epoch.train_s
      curve[i] = { seconds, epoch.val_loss }
    end
    curves[name][seed] = curve
    return numbers
  end }
end

local result = arms.run { seeds = cfg.compare.seeds, baseline = 'tree, path', arms = { arm('tree, path', 'tree', 'path'),
  arm('tree, random path', 'tree', 'random_path'), arm('tree, all nodes', 'tree', 'all'), arm('dense_deep', 'dense_deep'),
  arm('dense_wide', 'dense_wide'), arm('dense_4 (unmatched)', 'dense_4') } }

-- The val loss of the last epoch that ended within the time that the fastest arm took in all.
for s, seed in ipairs(result.seeds) do
  local limit = math.huge
  for _, one in ipairs(result.arms) do
    local curve = curves[one.name][seed]
    if #curve > 0 then limit = math.min(limit, curve[#curve][1]) end
  end
  for _, one in ipairs(result.arms) do
    for _, point in ipairs(curves[one.name][seed]) do
      if point[1] <= limit then one.cells[s].loss_at_time = point[2] end
    end
  end
end

arms.print(result, { { 'val_loss', 'val loss, equal tokens' }, { 'loss_at_time', 'val loss, equal time' }, { 'step_ms', 'ms an update' },
  { 'parameters', 'parameters' }, { 'effective_pct', 'effective %' } })
print('\nAt equal tokens. ' .. arms.finding(result, 'val_loss', 'val loss'))
print('At equal time. ' .. arms.finding(result, 'loss_at_time', 'val loss'))
