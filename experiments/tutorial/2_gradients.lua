-- 2_gradients: gradients, a model of layers and a training loop of one's own.
local nn, optim, torch = require 'nn', require 'optim', require 'torch'

torch.manual_seed(1)
local w = torch.tensor({ 2, 3 }, { requires_grad = true })
local loss = (w * w):sum()
loss:backward()
print('gradient of w^2', w.grad)                 -- 2 w

local net = nn.Sequential { nn.Linear { 2, 16 }, nn.Tanh(), nn.Linear { 16, 1 } }
print(net, net:parameter_count())

local x = torch.rand { 256, 2 } * 2 - 1
local y = (x[{ {}, 0 }] * x[{ {}, 1 }]):view { -1, 1 }  -- learn to multiply
local adam = optim.Adam(net, { lr = 1e-2 })
for step = 1, 400 do
  net:zero_grad()
  local error = torch.mse_loss(net(x), y)
  error:backward()
  adam:step()
  if step % 100 == 0 then print(('step %d  loss %.5f'):format(step, error:item())) end
end
torch.no_grad(function()
  print('0.5 * -0.5 is', net(torch.tensor { { 0.5, -0.5 } }):item())
end)
