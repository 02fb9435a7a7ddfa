-- regression: numbers from numbers. The data are made here; replace `make` by tensors of your own.
local experiment, data, train = require 'experiment', require 'data', require 'train'
local nn, torch = require 'nn', require 'torch'

local cfg = experiment.config {
  rows = { train = 800, val = 200 },
  model = { hidden = 32 },
  data = { batch = 32, shuffle = true },
  optim = { name = 'adam', lr = 1e-2 },
  train = { epochs = 20, seed = 1 },
}

-- y = sin(3 a) + a b + noise of 0.1: no model gets below a mean squared error of 0.01.
local function make(rows)
  local x = torch.rand { rows, 2 } * 2 - 1
  local a, b = x[{ {}, 0 }], x[{ {}, 1 }]
  return x, ((a * 3):sin() + a * b + torch.randn { rows } * 0.1):view { -1, 1 }
end

local x, y = make(cfg.rows.train)
local val_x, val_y = make(cfg.rows.val)
local h = cfg.model.hidden
local net = nn.Sequential { nn.Linear { 2, h }, nn.Tanh(), nn.Linear { h, h }, nn.Tanh(), nn.Linear { h, 1 } }

local fit = train.fit {
  model = net, optim = cfg.optim, options = cfg.train,
  loss = function(model, a, b) return torch.mse_loss(model(a), b) end,
  data = data.tensors {
    x = x, y = y, val_x = val_x, val_y = val_y, batch = cfg.data.batch, shuffle = cfg.data.shuffle },
}
print(('val error %.4f at epoch %d; noise alone is 0.0100'):format(fit.best.val_loss, fit.best.epoch))
