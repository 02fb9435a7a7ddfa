-- tree_sweep: does the shape of the tree matter, and the way it passes on what its nodes give?
local arms, experiment, data, k1 = require 'arms', require 'experiment', require 'data', require 'research.k1'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' } }, batch = 16, seq = 64, batches = 200 },
  model = { d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0) },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  select = { rule = 'path' },
  train = { epochs = 5 },
  eval = { val_cap = 50 },
  sweep = { seeds = { 1, 2, 3 }, shapes = { { 9 }, { 3, 3 }, { 2, 2, 2 }, { 4, 3, 2 } } },
}

local text = data.domains(cfg.domains)
local cells, baseline = {}, nil
experiment.varies({ 'model.branching', 'model.forward' }, 'set sweep.shapes')
for _, forward in ipairs { 'level_mean', 'tree' } do
  for _, branching in ipairs(cfg.sweep.shapes) do
    local name = ('{%s} %s'):format(table.concat(branching, ','), forward)
    if name == '{3,3} level_mean' then baseline = name end -- where it is among the shapes, the first otherwise
    cells[#cells + 1] = { name, function(seed)
      local options = { branching = branching, forward = forward }
      return (k1.train(cfg, text, { seed = seed, select = cfg.select, model_options = options }))
    end }
  end
end
local result = arms.run { seeds = cfg.sweep.seeds, arms = cells, baseline = baseline }
arms.print(result, { { 'val_loss', 'val loss' }, { 'parameters', 'parameters' }, { 'effective_pct', 'effective %' },
  { 'leaf_gini', 'leaf Gini' } })
print('\n' .. arms.finding(result, 'val_loss', 'val loss'))
