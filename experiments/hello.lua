-- hello: a tour in 20 lines: tensors, gradients, a model, T-Score, training. Runs in about three seconds.
local torch, nn, optim, tscore = require 'torch', require 'nn', require 'optim', require 'tscore'

torch.manual_seed(1)
local x = torch.randn { 3, 4 }
print(x)                                                 -- tensors look as in PyTorch
print('row 0', x[0], 'columns 1 and 2', x[{ {}, { 1, 3 } }].shape)
print('sum over rows', x:sum { dim = 0 }, 'mean', (x + 1):mean():item())

local net = nn.Sequential { nn.Linear { 4, 16 }, nn.Tanh(), nn.Linear { 16, 1 } }
print(net)
local input = torch.randn { 64, 4 }
local target = input:sum { dim = 1, keepdim = true }      -- learn to add
local function loss() return torch.mse_loss(net(input), target) end

local adam = optim.Adam(net, { lr = 1e-2 })
for step = 1, 300 do
  net:zero_grad()
  local l = loss()
  l:backward()
  adam:step()
  if step % 100 == 0 then
    print(('step %d  loss %.5f  T-Score %.3f'):format(step, l:item(), tscore.measure(net, loss).t))
  end
end
