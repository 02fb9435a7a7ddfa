-- 3_experiment: an experiment. A config that the command line can change, and train.fit, which leaves a run directory.
--   runner experiments/tutorial/3_experiment.lua model.hidden=32 optim.lr=3e-3
local data, experiment, nn = require 'data', require 'experiment', require 'nn'
local torch, train = require 'torch', require 'train'

local cfg = experiment.config {
  rows = 600,
  model = { hidden = 16 },
  data = { batch = 32 },
  optim = { name = 'adam', lr = 1e-2 },
  train = { epochs = 15, seed = 1, device = 'cpu' },
}

-- Two half moons, which no straight line parts.
local function moons(n)
  local angle, side = torch.rand { n } * math.pi, torch.arange(n):remainder(2)
  local x = angle:cos() * (1 - side * 2) + side
  local y = angle:sin() * (1 - side * 2) + side * 0.5
  return torch.stack({ x, y }, 1) + torch.randn { n, 2 } * 0.15, side:long()
end

local x, y = moons(cfg.rows)
local val_x, val_y = moons(200)
local hidden = cfg.model.hidden
local net = nn.Sequential { nn.Linear { 2, hidden }, nn.ReLU(), nn.Linear { hidden, hidden }, nn.ReLU(),
  nn.Linear { hidden, 2 } }

local fit = train.fit {
  model = net, optim = cfg.optim, options = cfg.train, eval = { metrics = { 'accuracy' } },
  data = data.tensors { x = x, y = y, val_x = val_x, val_y = val_y, batch = cfg.data.batch, shuffle = true },
}
print(('accuracy %.1f %%; the run is in %s'):format(100 * fit.best.metrics.accuracy, fit.run))
