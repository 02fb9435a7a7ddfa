-- optimizer_confound: does masking the gradient, as published, do what masking the update does, under SGD and AdamW?
local arms, experiment, data, k1 = require 'arms', require 'experiment', require 'data', require 'research.k1'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' } }, batch = 16, seq = 64, batches = 200 },
  model = { branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0),
    forward = 'level_mean' },
  optim = { weight_decay = 0.01, clip_norm = 1 },
  train = { epochs = 10 },
  eval = { val_cap = 50 },
  sweep = { seeds = { 1, 2, 3 }, lr = { sgd = 0.03, adamw = 1e-3 }, momentum = 0.9 },
}

experiment.varies({ 'optim.lr' }, 'set sweep.lr')
experiment.varies({ 'optim.momentum' }, 'set sweep.momentum')
experiment.varies({ 'optim.name' }, 'sgd and adamw are compared')
local text = data.domains(cfg.domains)
-- Each optimiser against its own masked update: a difference between optimisers is not the question.
for _, name in ipairs { 'sgd', 'adamw' } do
  local cells = {}
  for _, apply in ipairs { 'delta', 'gradient' } do
    for _, moments in ipairs { 'global', 'lazy' } do
      cells[#cells + 1] = { ('%s %s %s'):format(name, apply, moments), function(seed)
        local optim = {}
        for key, value in pairs(cfg.optim) do optim[key] = value end
        optim.name, optim.lr, optim.momentum = name, cfg.sweep.lr[name], name == 'sgd' and cfg.sweep.momentum or nil
        local select = { rule = 'path', apply = apply, moments = moments }
        return (k1.train(cfg, text, { seed = seed, select = select, optim = optim }))
      end }
    end
  end
  local result = arms.run { seeds = cfg.sweep.seeds, arms = cells, baseline = name .. ' delta global' }
  arms.print(result, { { 'val_loss', 'val loss' }, { 'leaf_gini', 'leaf Gini' }, { 'dead', 'never selected' } })
  print('\n' .. arms.finding(result, 'val_loss', 'val loss') .. '\n')
end
