-- Optimisers from Lua.
local fail = require 'fail'
local nn = require 'nn'
local optim = require 'optim'
local t = require 'testing'
local torch = require 'torch'

-- A small least-squares problem with its loss.
local function problem()
  torch.manual_seed(2)
  local net = nn.Linear { 3, 1 }
  local x = torch.randn { 16, 3 }
  local y = x:matmul(torch.tensor { { 1 }, { -2 }, { 0.5 } }) + 0.3
  return net, function() return (net(x) - y):square():mean() end
end

local function train(optimizer, loss, steps)
  for _ = 1, steps do
    optimizer:zero_grad()
    loss():backward()
    optimizer:step()
  end
  return loss():item()
end

t.test('every optimiser brings the loss down', function()
  local lr = { Adam = 0.05, AdamW = 0.05, SGD = 0.1, RMSprop = 0.02 }
  for name, rate in pairs(lr) do
    local net, loss = problem()
    local before = loss():item()
    local after = train(optim[name](net, { lr = rate }), loss, 100)
    t.is_true(after < before / 10, ('%s: %.4f -> %.4f'):format(name, before, after))
  end
end)

t.test('one SGD update is p - lr g, with momentum and weight decay', function()
  local net, loss = problem()
  local sgd = optim.SGD(net, { lr = 0.1, momentum = 0.9, weight_decay = 0.01 })
  local velocity
  for _ = 1, 3 do
    local before = net.weight:detach():clone()
    sgd:zero_grad()
    loss():backward()
    local g = net.weight.grad + before * 0.01
    velocity = velocity and velocity * 0.9 + g or g
    sgd:step()
    t.is_true(torch.allclose(net.weight, before - velocity * 0.1, { atol = 1e-6 }))
  end
end)

t.test('the first Adam update moves every element by the learning rate', function()
  local net, loss = problem()
  local before = net.weight:detach():clone()
  train(optim.Adam(net, { lr = 0.01 }), loss, 1)
  t.is_true(torch.allclose((net.weight - before):abs(), torch.full({ 1, 3 }, 0.01), { rtol = 1e-3 }))
end)

t.test('AdamW shrinks weights apart from the gradient', function()
  local net = nn.Linear { 2, 2, bias = false }
  local before = net.weight:detach():clone()
  net.weight.grad = torch.zeros { 2, 2 }
  optim.AdamW(net, { lr = 0.1, weight_decay = 0.5 }):step()
  t.is_true(torch.allclose(net.weight, before * 0.95))
end)

t.test('parameters come as a model, a list, or groups', function()
  local net = nn.Linear { 3, 1 }
  local weight, bias = net.weight:detach():clone(), net.bias:detach():clone()
  local function step(optimizer)
    for _, parameter in ipairs(net:parameters()) do parameter.grad = torch.ones(parameter.shape) end
    optimizer:step()
  end
  step(optim.SGD({ net.weight }, { lr = 1 }))
  t.is_true(torch.equal(net.bias, bias))
  t.is_true(torch.allclose(net.weight, weight - 1))
  step(optim.SGD({ { params = { net.weight }, lr = 0 }, { params = { net:named_parameters()[2] } } }, { lr = 2 }))
  t.is_true(torch.allclose(net.bias, bias - 2))
  t.is_true(torch.allclose(net.weight, weight - 1))
  t.error_matches(function() optim.SGD { { params = { net.weight } }, { params = net:named_parameters() } } end,
    "parameter 'weight' is given twice")
end)

t.test('groups have their own options and share the learning-rate factor', function()
  local net = nn.Linear { 3, 1 }
  local sgd = optim.SGD({ { params = { net.weight }, lr = 0.5 }, { params = { net.bias } } }, { lr = 0.1 })
  t.equal(sgd:lr(), 0.5)
  sgd:set_lr_factor(0.1)
  t.near(sgd:lr(), 0.05, 1e-12)
  local bias = net.bias:detach():clone()
  for _, parameter in ipairs(net:parameters()) do parameter.grad = torch.ones(parameter.shape) end
  sgd:step()
  t.is_true(torch.allclose(net.bias, bias - 0.01))
  t.error_matches(function() sgd:set_lr_factor(-1) end, 'must not be negative')
end)

t.test('a parameter without a gradient stays', function()
  local net = nn.Linear { 3, 1 }
  local before = net.weight:detach():clone()
  optim.Adam(net):step()
  t.is_true(torch.equal(net.weight, before))
end)

t.test('clipping scales the gradients and gives the norm before', function()
  local net = nn.Linear { 2, 1 }
  net.weight.grad, net.bias.grad = torch.tensor { { 3, 0 } }, torch.tensor { 4 }
  t.near(optim.grad_norm(net), 5, 1e-6)
  t.near(optim.clip_grad_norm_(net, 1), 5, 1e-6)
  t.near(optim.grad_norm(net), 1, 1e-5)
  t.near(net.bias.grad:item(), 0.8, 1e-5)
  t.near(optim.clip_grad_norm_(net:parameters(), 10), 1, 1e-5)
  optim.clip_grad_value_(net, 0.5)
  t.equal(net.bias.grad:item(), 0.5)
end)

t.test('bad options are config errors that show the signature', function()
  local net = nn.Linear { 2, 1 }
  local function refused(pattern, make)
    local err = t.error_matches(make, 'optim_test.lua:%d+: optim%.' .. pattern)
    t.equal(fail.code_of(err), 3)
  end
  refused('Adam: lr must not be negative', function() local _ = optim.Adam(net, { lr = -1 }) end)
  refused('Adam: beta1 must be in %[0, 1%)', function() local _ = optim.Adam(net, { beta1 = 1 }) end)
  refused("Adam: has no argument 'beta'; did you mean 'beta1' or 'beta2'%? %(optim.Adam%(float lr=0.001, ", function()
    local _ = optim.Adam(net, { beta = 1 })
  end)
  refused("SGD.*: argument 'lr' must be float, got string 'x'", function() local _ = optim.SGD(net, { lr = 'x' }) end)
  refused("SGD.*: has no argument 'lrate'",
    function() local _ = optim.SGD({ { params = { net.weight }, lrate = 1 } }, { lr = 1 }) end)
  t.error_matches(function() local _ = optim.Adam(3) end, 'expected a model or a list of parameters, got number 3')
  t.error_matches(function() return optim.Adma end, "optim has no 'Adma'; did you mean 'Adam'")
end)

t.test('a script with a bad option ends with exit code 3', function()
  local output, code = t.runner('-e', "require('optim').Adam(require('nn').Linear { 1, 1 }, { lr = -1 })")
  t.contains(output, 'optim.Adam: lr must not be negative')
  t.equal(code, 3, output)
end)
