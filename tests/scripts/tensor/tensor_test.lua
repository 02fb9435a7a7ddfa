-- The tensor as a Lua value: indexing, assignment, length, text, conversion, comparison.
local t = require 'testing'
local torch = require 'torch'

local function list(tensor) return tensor:tolist() end

local function ints(values) return torch.tensor(values, { dtype = 'int64' }) end

local x = torch.arange(24):view(2, 3, 4)

t.test('an integer picks one row, negative ones count from the end', function()
  t.equal(tostring(x[1].shape), '{3, 4}')
  t.equal(list(x[1][0]), { 12, 13, 14, 15 })
  t.equal(list(x[-1][-1]), { 20, 21, 22, 23 })
  t.equal(tostring(torch.arange(3)[2]), 'tensor(2)')
  t.equal(torch.arange(3)[2]:item(), 2)
end)

t.test('a table holds one index per dimension', function()
  t.equal(x[{ 1, 2, 3 }]:item(), 23)
  t.equal(list(x[{ 0, 1 }]), { 4, 5, 6, 7 })
  t.equal(list(x[{ -1, -1, -1 }]), 23)
end)

t.test('a range excludes its end and may lack parts', function()
  t.equal(list(x[{ 0, { 1, 3 } }]), { { 4, 5, 6, 7 }, { 8, 9, 10, 11 } })
  t.equal(list(x[{ 0, { 2 } }]), { { 8, 9, 10, 11 } })
  t.equal(tostring(x[{ {}, 0 }].shape), '{2, 4}')
  t.equal(tostring(x[{}].shape), '{2, 3, 4}')
  t.equal(list(torch.arange(10)[{ { -3 } }]), { 7, 8, 9 })
  t.equal(list(torch.arange(10)[{ { 0, -7 } }]), { 0, 1, 2 })
  t.equal(tostring(torch.arange(4)[{ { 3, 1 } }].shape), '{0}')
end)

t.test('a range may have a step', function()
  t.equal(list(torch.arange(10)[{ { 1, 8, 3 } }]), { 1, 4, 7 })
  t.equal(list(x[{ 0, 0, { 0, 4, 2 } }]), { 0, 2 })
  t.error_matches(function() return torch.arange(4)[{ { 0, 4, 0 } }] end, 'step of a range must be positive')
  t.error_matches(function() return torch.arange(4)[{ { 0, 4, 1, 1 } }] end,
    'a range is {first, end, step}, got a table of 4')
end)

t.test('a mask picks elements', function()
  t.equal(list(x[x:gt(20)]), { 21, 22, 23 })
  t.equal(list(torch.arange(3)[torch.tensor { true, false, true }]), { 0, 2 })
end)

t.test('integer tensors pick rows', function()
  t.equal(list(torch.arange(5)[ints { 3, 1 }]), { 3, 1 })
  t.equal(list(torch.arange(5)[torch.tensor({ 3, 1 }, { dtype = 'int32' })]), { 3, 1 })
  t.equal(list(x[{ ints { 0, 1 }, ints { 2, 0 }, 1 }]), { 9, 13 })
  t.error_matches(function() return torch.arange(5)[torch.tensor { 3, 1 }] end, 'long, byte or bool')
end)

t.test('the ellipsis stands for all dimensions between', function()
  t.equal(list(x[{ '...', 0 }]), { { 0, 4, 8 }, { 12, 16, 20 } })
  t.equal(list(x[{ 1, '...', 0 }]), { 12, 16, 20 })
  t.equal(tostring(x['...'].shape), '{2, 3, 4}')
end)

t.test('newaxis adds a dimension', function()
  t.equal(tostring(x[{ 0, torch.newaxis }].shape), '{1, 3, 4}')
  t.equal(tostring(x[{ '...', torch.newaxis }].shape), '{2, 3, 4, 1}')
end)

t.test('a read shares memory with the tensor', function()
  local y = torch.zeros { 2, 2 }
  y[0]:fill_(5)
  t.equal(list(y), { { 5, 5 }, { 0, 0 } })
end)

t.test('indices out of range and of wrong type say so', function()
  t.error_matches(function() return x[2] end,
    'tensor_test.lua:%d+: index 2 is out of bounds for dimension 0 with size 2')
  t.error_matches(function() return x[{ 0, -4 }] end, 'index %-4 is out of bounds for dimension 1')
  t.error_matches(function() return x[{ 0, 0, 0, 0 }] end, 'too many indices')
  t.error_matches(function() return x[1.5] end, 'expected an integer, got number 1.5')
  t.error_matches(function() return x[nil] end, 'got nil')
end)

t.test('numbers, booleans and tensors are assigned', function()
  local y = torch.zeros { 2, 3 }
  y[0] = 1
  y[{ 1, { 1, 3 } }] = torch.tensor { 5, 6 }
  y[{ 1, 0 }] = true
  t.equal(list(y), { { 1, 1, 1 }, { 1, 5, 6 } })
  y[{ {}, 1 }] = -1
  t.equal(list(y[{ {}, 1 }]), { -1, -1 })
end)

t.test('an assignment broadcasts', function()
  local y = torch.zeros { 2, 3 }
  y[{}] = torch.tensor { 1, 2, 3 }
  t.equal(list(y), { { 1, 2, 3 }, { 1, 2, 3 } })
  y[{ '...', { 0, 2 } }] = 0
  t.equal(list(y), { { 0, 0, 3 }, { 0, 0, 3 } })
end)

t.test('masks and integer tensors are assigned through', function()
  local y = torch.arange(5):float()
  y[y:gt(2)] = 0
  t.equal(list(y), { 0, 1, 2, 0, 0 })
  y[ints { 0, 4 }] = torch.tensor { 8, 9 }
  t.equal(list(y), { 8, 1, 2, 0, 9 })
end)

t.test('an assignment that does not fit is refused and changes nothing', function()
  local y = torch.zeros { 2, 3 }
  t.error_matches(function() y[0] = torch.ones { 2 } end, 'expanded size')
  t.error_matches(function() y[0] = 'x' end, "expected a Tensor, got string 'x'")
  t.error_matches(function() y[0] = { 1, 2, 3 } end, 'expected a Tensor, got table of 3')
  t.error_matches(function() y[7] = 1 end, 'out of bounds')
  t.error_matches(function() y.foo = 3 end, "no field 'foo' that can be set")
  t.equal(y:sum():item(), 0)
end)

t.test('# is the size of dimension 0', function()
  t.equal(#x, 2)
  t.error_matches(function() return #torch.tensor(3) end, '0%-d tensor has no length; use :item%(%)')
end)

t.test('the text of a tensor is PyTorch\'s', function()
  t.equal(tostring(torch.tensor { { 1, 2 }, { 3, 4.5 } }), 'tensor([[1.0000, 2.0000],\n        [3.0000, 4.5000]])')
  t.equal(tostring(ints { 1, 2 }), 'tensor([1, 2])')
  t.equal('a ' .. torch.tensor(3) .. ' b', 'a tensor(3.) b')
end)

t.test('item gives the one element', function()
  t.equal(torch.tensor(2.5):item(), 2.5)
  t.equal(ints({ 7 }):item(), 7)
  t.equal(torch.tensor(true):item(), true)
  t.equal(torch.ones({ 1, 1 }):item(), 1)
  t.error_matches(function() torch.ones { 2 }:item() end,
    'only a tensor of one element is a number, this is float32 {2}')
end)

t.test('integers that a Lua number cannot hold are refused, not rounded', function()
  local big = ints { 2 ^ 53 }
  t.equal(big:item(), 2 ^ 53)
  t.error_matches(function() (big + 1):item() end, '9007199254740993 does not fit a Lua number exactly')
  t.error_matches(function() (big + 1):tolist() end, 'above 2^53')
  t.equal(tostring(big + 1), 'tensor([9007199254740993])')
end)

t.test('tolist gives nested tables', function()
  t.equal(list(torch.zeros { 2, 2, 1 }), { { { 0 }, { 0 } }, { { 0 }, { 0 } } })
  t.equal(list(torch.tensor { true, false }), { true, false })
  t.equal(list(torch.zeros { 0, 3 }), {})
  t.equal(list(torch.tensor(4)), 4)
  t.equal(list(torch.ones({ 2, 2 }, { dtype = 'bfloat16' }):t()), { { 1, 1 }, { 1, 1 } })
end)

t.test('shape is a field and a method', function()
  t.equal(x.shape[1], 2)
  t.equal(x.shape[3], 4)
  t.equal(#x.shape, 3)
  t.equal(tostring(x.shape), '{2, 3, 4}')
  t.equal(tostring(x:shape()), '{2, 3, 4}')
  t.is_true(x.shape == torch.zeros { 2, 3, 4 }.shape)
  t.is_false(x.shape == torch.zeros { 2, 3 }.shape)
  t.equal(x:size(0), 2)
  t.equal(x:size(-1), 4)
  t.equal(x:dim(), 3)
  t.equal(x.ndim, 3)
  t.equal(x:numel(), 24)
  t.error_matches(function() x:size(5) end, 'dimension must be an integer from %-3 to 2, got number 5')
end)

t.test('fields tell dtype, device and gradient', function()
  local y = torch.ones { 2, 3, requires_grad = true }
  t.fields(y, { dtype = 'float32', device = 'cpu', requires_grad = true, is_leaf = true })
  t.equal(y.grad, nil)
  t.equal(tostring(y.T.shape), '{3, 2}')
end)

t.test('Lua\'s comparisons raise with advice', function()
  t.error_matches(function() return x < x end, 'element by element with methods: a:lt%(b%)')
  t.error_matches(function() return x >= x end, 'a:ge%(b%)')
  t.equal(list(torch.tensor { 1, 3 }:lt(2)), { true, false })
end)

t.test('== tells whether two values are the same tensor', function()
  local y = torch.ones { 2 }
  t.is_true(y == y)
  t.is_false(y == y:clone())
  t.is_false(y == 1)
  t.is_true(torch.equal(y, y:clone()))
  t.is_true(torch.is_tensor(y))
  t.is_false(torch.is_tensor(3))
end)
