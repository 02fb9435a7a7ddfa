-- Gradients from Lua: backward, modes, and finite differences as the oracle.
local t = require 'testing'
local torch = require 'torch'

local function leaf(values) return torch.tensor(values, { requires_grad = true }) end

t.test('backward fills grad', function()
  local x = leaf { 1, 2, 3 }
  t.equal(x.grad, nil)
  x:square():sum():backward()
  t.equal(x.grad:tolist(), { 2, 4, 6 })
end)

t.test('gradients add up until they are taken away', function()
  local x = leaf { 1, 2 }
  for _ = 1, 2 do (x * 3):sum():backward() end
  t.equal(x.grad:tolist(), { 6, 6 })
  x.grad = nil
  t.equal(x.grad, nil)
  x.grad = torch.ones { 2 }
  x:sum():backward()
  t.equal(x.grad:tolist(), { 2, 2 })
end)

t.test('a graph is used once unless it is retained', function()
  local x = leaf { 2 }
  local y = (x * x):sum()
  y:backward { retain_graph = true }
  y:backward()
  t.equal(x.grad:tolist(), { 8 })
  t.error_matches(function() y:backward() end, 'second time')
end)

t.test('a tensor of several elements needs a gradient', function()
  local x = leaf { 1, 2 }
  t.error_matches(function() (x * 2):backward() end, 'only for scalar outputs')
  local y = x * 2
  y:backward(torch.tensor { 1, 10 })
  t.equal(x.grad:tolist(), { 2, 20 })
  y = x * 2
  y:backward { gradient = torch.tensor { 1, 1 } }
  t.equal(x.grad:tolist(), { 4, 22 })
  t.error_matches(function() (x * 2):backward(3) end, 'gradient: expected a Tensor, got number 3')
end)

t.test('a tensor without a gradient says why', function()
  t.error_matches(function() torch.ones { 1 }:backward() end, 'does not require a gradient')
  t.error_matches(function() torch.ones({ 2 }, { dtype = 'int64' }):requires_grad_() end,
    'only floating%-point tensors have gradients, this is int64 {2}')
  t.error_matches(function() leaf({ 1 }):add_(1) end, 'leaf Variable that requires grad')
end)

t.test('detach cuts the graph', function()
  local x = leaf { 3 }
  t.is_false((x * 2):detach().requires_grad)
  local y = x * x:detach()
  y:sum():backward()
  t.equal(x.grad:tolist(), { 3 })
end)

t.test('a tensor inside the graph keeps its gradient when asked', function()
  local x = leaf { 3 }
  local y = x * 2
  y:retain_grad()
  y:square():sum():backward()
  t.equal(y.grad:item(), 12)
  t.equal(x.grad:item(), 24)
end)

t.test('no_grad records nothing and hands results through', function()
  local x = leaf { 1 }
  local y, label = torch.no_grad(function(a, b) return a * 2, b end, x, 'label')
  t.equal(y.requires_grad, false)
  t.equal(label, 'label')
  t.is_true((x * 2).requires_grad)
end)

t.test('enable_grad works inside no_grad', function()
  local x = leaf { 1 }
  torch.no_grad(function()
    t.is_false((x * 2).requires_grad)
    t.is_true(torch.enable_grad(function() return (x * 2).requires_grad end))
    t.is_false((x * 2).requires_grad)
  end)
end)

t.test('an error inside no_grad leaves the mode as it was', function()
  local x = leaf { 1 }
  t.error_matches(function() torch.no_grad(function() error 'boom' end) end, 'boom')
  t.error_matches(function() torch.no_grad(function() torch.enable_grad(function() return torch.zerso end) end) end,
    'zerso')
  t.is_true((x * 2).requires_grad)
end)

t.test('parameters change in place under no_grad', function()
  local x = leaf { 1, 2 }
  torch.no_grad(function() x:sub_(0.5) end)
  t.equal(x:tolist(), { 0.5, 1.5 })
  t.is_true(x.requires_grad)
end)

-- A function of everything a model is made of: products, broadcasting, reductions, softmax, indexing, where.
local function composed(a, b)
  local c = torch.tanh(a:matmul(b)) + b:sum { dim = 0, keepdim = true }
  local p = c:softmax(-1)
  local picked = p[{ {}, { 0, 2 } }]
  return (torch.where(picked:gt(0.2), picked:log(), picked * 3):mean() + a[{ 0, '...' }]:exp():sum() / 7)
end

t.test('gradients agree with finite differences in float64', function()
  torch.manual_seed(3)
  local given = { torch.randn({ 2, 3 }, { dtype = 'float64' }), torch.randn({ 3, 4 }, { dtype = 'float64' }) }
  for _, tensor in ipairs(given) do tensor:requires_grad_() end
  composed(given[1], given[2]):backward()
  local step = 1e-6 -- central differences: error about step^2 + 1e-16 / step
  for _, tensor in ipairs(given) do
    local flat, gradient = tensor:detach():view(-1), tensor.grad:view(-1)
    for i = 0, tensor:numel() - 1 do
      local at = flat[i]:item()
      flat[i] = at + step
      local above = composed(given[1], given[2]):item()
      flat[i] = at - step
      local below = composed(given[1], given[2]):item()
      flat[i] = at
      t.near(gradient[i]:item(), (above - below) / (2 * step), 1e-7)
    end
  end
end)
