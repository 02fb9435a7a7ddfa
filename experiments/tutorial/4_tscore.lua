-- 4_tscore: T-Score. How much the samples of a batch disagree: 0 when all gradients point one way, near 1 when they
-- cancel. It comes from the backward pass that trains.
local data, experiment, nn = require 'data', require 'experiment', require 'nn'
local torch, train, tscore = require 'torch', require 'train', require 'tscore'

local cfg = experiment.config {
  noise = 0.0,                                   -- the share of labels that are wrong; try noise=0.4
  optim = { name = 'sgd', lr = 0.1 },
  train = { epochs = 10, seed = 1, device = 'cpu' },
  tscore = { every = 1 },
}

local x = torch.randn { 512, 8 }
local y = x:sum { dim = 1 }:gt(0):long()
local wrong = torch.rand { 512 }:lt(cfg.noise)
y = torch.where(wrong, 1 - y, y)

local net = nn.Sequential { nn.Linear { 8, 16 }, nn.Tanh(), nn.Linear { 16, 2 } }
local set = data.tensors { x = x, y = y, batch = 64, shuffle = true }

local function report(ctx, record)
  if record.epoch % 5 == 0 then ctx.print(('epoch %d  T %.3f'):format(record.epoch, record.tscore.mean)) end
end
local fit = train.fit { model = net, data = set, optim = cfg.optim, tscore = cfg.tscore, options = cfg.train,
  callbacks = { { name = 'report', on_epoch = report } } }

-- The same number once, for any loss over a batch.
local once = tscore.measure(net, function() return torch.cross_entropy_loss(net(x), y) end)
print(('mean T %.3f over %d batches; of all samples at once %.3f'):format(fit.tscore.mean, fit.tscore.n, once.t))
