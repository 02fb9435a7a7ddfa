-- 5_steer: a training that you steer. At the prompt (`runner`) you would type these lines one by one.
local data, experiment, nn = require 'data', require 'experiment', require 'nn'
local torch, train = require 'torch', require 'train'

local cfg = experiment.config {
  optim = { name = 'adam', lr = 1e-4 },
  train = { epochs = 20, seed = 1, device = 'cpu' },
}

local x = torch.rand { 512, 2 } * 2 - 1
local y = ((x[{ {}, 0 }] * 3):sin() * x[{ {}, 1 }]):view { -1, 1 }
local net = nn.Sequential { nn.Linear { 2, 32 }, nn.Tanh(), nn.Linear { 32, 1 } }
local set = data.tensors { x = x, y = y, batch = 64, shuffle = true }

local fit = train.start { model = net, data = set, loss = 'mse', optim = cfg.optim, options = cfg.train }
print(fit:overfit(200))                          -- can it learn one batch at all?
print(fit:step(20))
local found = fit:lr_find { to = 1 }             -- what do larger rates do? Nothing is changed by asking.
print(found)
fit.lr = 1e-2                                    -- 1e-4 was too small
fit.options.optim.clip_norm = 1
fit:epoch()
fit:plot()
fit:run()                                        -- Ctrl-C pauses; fit:run() goes on
print(fit)                                       -- `runner show latest` tells what was changed by hand
