-- epoch_sweep: what do more epochs over one text give a tree with path updates, and the same tree trained densely?
local arms, experiment, data, k1 = require 'arms', require 'experiment', require 'data', require 'research.k1'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare', bytes = 60000 } }, batch = 16, seq = 64, order = 'epoch',
    drop_last = true },
  model = { branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0),
    forward = 'level_mean' },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  train = {},
  sweep = { epochs = { 1, 2, 4, 8 }, seeds = { 1, 2, 3 }, rules = { 'path', 'all' } },
}

k1.check_names(cfg.sweep.rules, 'rule')
experiment.varies({ 'train.epochs' }, 'set sweep.epochs')
local text = data.domains(cfg.domains)
local cells = {}
for _, rule in ipairs(cfg.sweep.rules) do
  for _, epochs in ipairs(cfg.sweep.epochs) do
    cells[#cells + 1] = { ('%s, %d epoch%s'):format(rule, epochs, epochs == 1 and '' or 's'), function(seed)
      local options = { train = {}, model = cfg.model, optim = cfg.optim }
      for key, value in pairs(cfg.train) do options.train[key] = value end
      options.train.epochs = epochs
      return (k1.train(options, text, { seed = seed, select = { rule = rule } }))
    end }
  end
end
local result = arms.run { seeds = cfg.sweep.seeds, arms = cells }
arms.print(result, { { 'val_loss', 'val loss' }, { 'train_loss', 'train loss' }, { 'updates', 'updates' } })
print('\n' .. arms.finding(result, 'val_loss', 'val loss'))
