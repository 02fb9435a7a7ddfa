-- xor: a 2-8-1 network learns XOR in 500 steps; the loss is a Lua function.
local experiment, data, train = require 'experiment', require 'data', require 'train'
local nn, torch = require 'nn', require 'torch'

local cfg = experiment.config {
  model = { hidden = 8 },
  optim = { name = 'adam', lr = 0.05 },
  train = { epochs = 500, seed = 1, device = 'cpu' },
  tscore = { every = 1 },
}

local x = torch.tensor { { 0, 0 }, { 0, 1 }, { 1, 0 }, { 1, 1 } }
local y = torch.tensor { { 0 }, { 1 }, { 1 }, { 0 } }
local hidden = cfg.model.hidden
local model = nn.Sequential {
  { 'hidden', nn.Linear { 2, hidden } }, { 'tanh', nn.Tanh() }, { 'out', nn.Linear { hidden, 1 } } }
local function loss(m, input, target) return torch.binary_cross_entropy_with_logits(m(input), target) end

local fit = train.fit {
  model = model, data = data.tensors { x = x, y = y }, loss = loss,
  optim = cfg.optim, tscore = cfg.tscore, options = cfg.train,
}
local guess = torch.no_grad(function() return torch.sigmoid(model(x)) end)
for i = 0, 3 do print(('%d xor %d = %.3f'):format(x[{ i, 0 }]:item(), x[{ i, 1 }]:item(), guess[{ i, 0 }]:item())) end
print(('loss %.5f after %d steps'):format(fit.epochs[#fit.epochs].train_loss, fit.steps))
