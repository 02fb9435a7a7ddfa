-- Operators of LibTorch from Lua: how arguments are read, which overload is taken, what comes back, what errors say.
local t = require 'testing'
local nn = require 'nn'
local torch = require 'torch'

local function list(tensor) return tensor:tolist() end

local function ints(values) return torch.tensor(values, { dtype = 'int64' }) end

t.test('a number is taken as Scalar and keeps the tensor\'s dtype', function()
  t.equal(list(torch.tensor { 1, 2 }:add(3)), { 4, 5 })
  t.equal(torch.add(ints { 1, 2 }, 3).dtype, 'int64')
  t.equal(torch.add(ints { 1, 2 }, 1.5).dtype, 'float32')
  t.equal(list(torch.add(torch.tensor { 1, 2 }, 3, { alpha = 2 })), { 7, 8 })
end)

t.test('the overload follows from the types of the arguments', function()
  local x = torch.tensor { { 1, 5 }, { 7, 3 } }
  t.equal(x:max():item(), 7)                                  -- max(self)
  t.equal(list((x:max(0))), { 7, 5 })                         -- max(self, int dim)
  t.equal(list(x:max(torch.tensor { 4, 4 })), { { 4, 5 }, { 7, 4 } }) -- max(self, Tensor other)
  t.equal(list(x:pow(2)), { { 1, 25 }, { 49, 9 } })
  t.equal(list(torch.pow(2, ints { 1, 3 })), { 2, 8 })        -- pow(Scalar self, Tensor exponent)
  t.equal(list(x:pow(torch.tensor { 2, 0 })), { { 1, 1 }, { 49, 1 } })
end)

t.test('a number stands for a tensor where no overload takes a scalar', function()
  local x = torch.tensor { 1, 2, 3 }
  t.equal(list(torch.where(x:gt(1), x, 0)), { 0, 2, 3 })
  t.equal(torch.where(x:gt(1), x, 0).dtype, 'float32')
  t.equal(list(torch.maximum(x, 2)), { 2, 2, 3 })
end)

t.test('defaults are those of the schema', function()
  t.equal(torch.tensor { 1, 2, 3 }:std():item(), 1)           -- unbiased
  t.equal(torch.ones { 2, 3 }:sum(0).shape, torch.ones { 3 }.shape)
  t.equal(list(torch.ones({ 2, 2 }):flatten()), { 1, 1, 1, 1 })
end)

t.test('keywords come in a last table', function()
  local x = torch.ones { 2, 3 }
  t.equal(list(x:sum { dim = 0, keepdim = true }), { { 2, 2, 2 } })
  t.equal(list(x:sum(1, { keepdim = true })), { { 3 }, { 3 } })
  t.equal(list(torch.sum(x, { dim = { 0, 1 } })), 6)
  t.equal(x:sum { dtype = 'float64' }.dtype, 'float64')
end)

t.test('a table may hold a list and keywords', function()
  local x = torch.zeros { 2, 3, dtype = 'int64' }
  t.equal(tostring(x.shape), '{2, 3}')
  t.equal(x.dtype, 'int64')
  t.equal(torch.ones { 2, requires_grad = true }.requires_grad, true)
end)

t.test('integers in a row make an int list', function()
  local x = torch.arange(6)
  t.equal(tostring(x:view(2, 3).shape), '{2, 3}')
  t.equal(tostring(x:view { 3, 2 }.shape), '{3, 2}')
  t.equal(tostring(x:view(-1, 2):permute(1, 0).shape), '{2, 3}')
  t.equal(tostring(torch.zeros(2, 3).shape), '{2, 3}')
  t.equal(tostring(x:reshape(6).shape), '{6}')
end)

t.test('one integer fills a list of fixed size', function()
  t.equal(tostring(torch.max_pool2d(torch.ones { 1, 1, 4, 4 }, 2).shape), '{1, 1, 2, 2}')
  t.equal(tostring(torch.conv2d(torch.ones { 1, 1, 5, 5 }, torch.ones { 1, 1, 3, 3 }, nil, 2).shape), '{1, 1, 2, 2}')
  t.equal(tostring(torch.ones { 2, 3 }:sum(0).shape), '{3}')
end)

t.test('nil leaves an optional argument out', function()
  t.equal(list(torch.tensor { 1, 5, 9 }:clamp(nil, 4)), { 1, 4, 4 })
  t.equal(list(torch.tensor { 1, 5, 9 }:clamp { min = 4 }), { 4, 5, 9 })
end)

t.test('lists of tensors go in and come out', function()
  local a, b = torch.ones { 2 }, torch.zeros { 1 }
  t.equal(list(torch.cat { a, b }), { 1, 1, 0 })
  t.equal(list(torch.cat({ a, b }, 0)), { 1, 1, 0 })
  t.equal(list(torch.stack({ a, a }, 1)), { { 1, 1 }, { 1, 1 } })
  local parts = torch.arange(5):split(2)
  t.equal(#parts, 3)
  t.equal(list(parts[3]), { 4 })
  t.equal(list(torch.einsum('ij,jk->ik', { torch.ones { 2, 3 }, torch.ones { 3, 1 } })), { { 3 }, { 3 } })
end)

t.test('several results are several values', function()
  local x = torch.tensor { 3, 1, 2 }
  local value, index = x:max(0)
  t.equal(value:item(), 3)
  t.equal(index:item(), 0)
  local values, order = x:sort()
  t.equal(list(values), { 1, 2, 3 })
  t.equal(list(order), { 1, 2, 0 })
  local top, at = x:topk(2)
  t.equal(list(top), { 3, 2 })
  t.equal(list(at), { 0, 2 })
end)

t.test('plain results are Lua values', function()
  local a = torch.ones { 2 }
  t.equal(torch.equal(a, a:clone()), true)
  t.equal(a:is_complex(), false)
  t.equal(torch.allclose(a, a + 1), false)
end)

t.test('an in-place operator gives back the same userdata', function()
  local x = torch.ones { 2 }
  t.is_true(rawequal(x, x:add_(1)))
  t.is_true(rawequal(x, x:mul_(2):zero_()))
  t.equal(list(x), { 0, 0 })
  local out = torch.zeros { 2 }
  torch.add(torch.ones { 2 }, 1, { out = out })
  t.equal(list(out), { 2, 2 })
end)

t.test('factories take dtype and device by name', function()
  for _, name in ipairs { 'float32', 'float64', 'float16', 'bfloat16', 'int64', 'int32', 'int16', 'int8', 'uint8',
    'bool' } do
    t.equal(torch.zeros({ 1 }, { dtype = name }).dtype, name)
    t.equal(torch[name], name)
  end
  t.equal(torch.zeros({ 1 }, { dtype = 'torch.int64' }).dtype, 'int64')
  t.equal(torch.zeros({ 1 }, { device = 'cpu' }).device, 'cpu')
  t.equal(torch.zeros { 1 }.dtype, 'float32')
  t.equal(torch.randn { 1 }.dtype, 'float32')
  t.equal(torch.eye(2).dtype, 'float32')
  t.equal(torch.linspace(0, 1, 3).dtype, 'float32')
  t.equal(torch.arange(3).dtype, 'int64')
  t.equal(torch.arange(0, 1, 0.5).dtype, 'float32')
end)

t.test('Lua numbers make float32: full and tensor', function()
  t.equal(torch.full({ 2 }, 3).dtype, 'float32')
  t.equal(torch.full({ 2 }, 3, { dtype = 'int64' }).dtype, 'int64')
  t.equal(torch.full({ 2 }, true).dtype, 'bool')
  t.equal(torch.tensor { 1, 2 }.dtype, 'float32')
  t.equal(torch.tensor(3).dtype, 'float32')
  t.equal(torch.tensor { true }.dtype, 'bool')
  t.equal(torch.tensor { 1, 2, dtype = 'int64' }.dtype, 'int64')
end)

t.test('torch.tensor refuses rows that make no box', function()
  t.error_matches(function() torch.tensor { { 1, 2 }, { 3 } } end, 'data%[2%] has 1 entries where others have 2')
  t.error_matches(function() torch.tensor { { 1, 2 }, 3 } end, 'data%[2%] has rows of different depths')
  t.error_matches(function() torch.tensor { 1, { 2 } } end, 'data%[2%] has rows of different depths')
  t.error_matches(function() torch.tensor { 'x' } end, "data%[1%] must be a number or a boolean, got string 'x'")
  t.equal(tostring(torch.tensor {}.shape), '{0}')
end)

t.test('a tensor moves between dtypes and devices', function()
  local x = torch.ones { 2 }
  t.equal(x:to('float64').dtype, 'float64')
  t.equal(x:to('cpu').device, 'cpu')
  t.equal(x:to('cpu', 'int64').dtype, 'int64')
  t.equal(x:to { dtype = 'int32' }.dtype, 'int32')
  t.equal(x:to(ints { 1 }).dtype, 'int64')
  t.equal(x:float().dtype, 'float32')
  t.equal(x:double().dtype, 'float64')
  t.equal(x:long().dtype, 'int64')
  t.equal(x:bool().dtype, 'bool')
  t.error_matches(function() return (x:to 'cdua') end, "argument 'device' must be Device")
  if #torch.devices() == 1 then
    t.error_matches(function() return (torch.zeros({ 1 }, { device = 'cuda' })) end,
      "device 'cuda' not available.*device=cpu")
  end
end)

t.test('operators take numbers on either side', function()
  local x = torch.tensor { 1, 2 }
  t.equal(list(x + 1), { 2, 3 })
  t.equal(list(1 + x), { 2, 3 })
  t.equal(list(5 - x), { 4, 3 })
  t.equal(list(x - 5), { -4, -3 })
  t.equal(list(2 / x), { 2, 1 })
  t.equal(list(x / 2), { 0.5, 1 })
  t.equal(list(2 ^ x), { 2, 4 })
  t.equal(list(x ^ 2), { 1, 4 })
  t.equal(list(5 % torch.tensor { 3, 2 }), { 2, 1 })
  t.equal(list(x % 2), { 1, 0 })
  t.equal(list(-x), { -1, -2 })
  t.equal(list(ints { 3, 2 } / 2), { 1.5, 1 })
  t.equal(list(torch.ones { 2, 1 } * torch.tensor { 1, 2 }), { { 1, 2 }, { 1, 2 } })
end)

t.test('a generator of its own repeats its draws', function()
  local function draw() return list(torch.randn { 3, generator = torch.Generator(5) }) end
  t.equal(draw(), draw())
  torch.manual_seed(1)
  local first = list(torch.rand { 3 })
  torch.manual_seed(1)
  draw()
  t.equal(list(torch.rand { 3 }), first)
  t.error_matches(function() torch.manual_seed(-1) end, 'seed must be an integer from 0')
end)

t.test('our own operators appear beside those of LibTorch', function()
  t.is_true(#torch.operators() > 1000)
  t.matches(torch.schemas('matmul')[1], '^aten::matmul%(Tensor self, Tensor other%)')
  t.equal(torch.schemas 'no_such_operator', {})
end)

-- Line of the caller, for messages that must begin with file and line of the user.
local function here() return debug.getinfo(2, 'l').currentline end

t.test('a shape that does not fit names shapes, schema and the line of the user', function()
  local line = here() + 1
  local err = t.error_matches(function() local _ = torch.ones { 2, 3 } + torch.ones { 4 } end, 'must match')
  t.matches(err, '^[^\n]*torch_ops_test%.lua:' .. line .. ': torch%.add: The size of tensor a %(3%)')
  t.contains(err, 'called as add(Tensor float32 {2, 3}, Tensor float32 {4})')
  t.contains(err, 'aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor')
  t.is_false(tostring(err):find 'frame #', 'native stack')
end)

t.test('a wrong argument shows what was given and every schema', function()
  local err = t.error_matches(function() local _ = torch.ones { 2 }:sum 'x' end, 'no overload takes')
  t.contains(err, "torch.sum: no overload takes (Tensor float32 {2}, string 'x')")
  t.contains(err, 'aten::sum.dim_IntList(Tensor self, int[1]? dim')
  t.contains(err, "argument 'dim' must be int[]?, got string 'x'")
  t.is_false(tostring(err):find 'Dimname', 'named tensors')
  t.error_matches(function() local _ = torch.matmul(torch.ones { 2 }) end, "argument 'other' %(Tensor%) is missing")
  t.error_matches(function() local _ = torch.ones { 2 }:relu(1, 2) end, 'takes 1 positional argument, got 3')
end)

t.test('typos are met with the nearest name', function()
  t.error_matches(function() return torch.zerso end, "torch has no 'zerso'; did you mean .*'zeros'")
  t.error_matches(function() return torch.ones({ 2 }).smu end, "a Tensor has no 'smu'; did you mean .*'sum'")
  t.error_matches(function() local _ = torch.zeros { 2, dtpye = 'int64' } end,
    "has no argument 'dtpye'; did you mean 'dtype'")
  t.error_matches(function() local _ = torch.ones { 2 }:sum { dims = 0 } end,
    "has no argument 'dims'; did you mean 'dim'")
  t.error_matches(function() local _ = torch.zeros { 2, dtype = 'flaot32' } end,
    "got string 'flaot32'; did you mean 'float32'")
end)

t.test('an error of LibTorch can be caught and leaves everything usable', function()
  for _ = 1, 100 do t.is_false(pcall(torch.matmul, torch.ones { 2 }, torch.ones { 3 })) end
  t.equal(torch.ones { 2 }:matmul(torch.ones { 2 }):item(), 2)
end)

t.test('gru_sequence and lstm_sequence are the layers without a module', function()
  torch.manual_seed(4)
  local x, h0 = torch.randn { 3, 5, 4 }, torch.randn { 1, 3, 6 }
  local gru, lstm = nn.GRU { 4, 6 }, nn.LSTM { 4, 6 }
  local function weights(layer)
    local w = layer:state_dict()
    return w.weight_ih_l0, w.weight_hh_l0, w.bias_ih_l0, w.bias_hh_l0
  end
  local w_ih, w_hh, b_ih, b_hh = weights(gru)
  local y, h = torch.gru_sequence(x, w_ih, w_hh, b_ih, b_hh, h0[0])
  local expected, state = gru(x, h0)
  t.is_true(torch.equal(y, expected))
  t.is_true(torch.equal(h, state[0]))
  w_ih, w_hh, b_ih, b_hh = weights(lstm)
  local out, _, c = torch.lstm_sequence(x, w_ih, w_hh, b_ih, b_hh)
  local of_layer, states = lstm(x)
  t.is_true(torch.equal(out, of_layer))
  t.equal(c.shape[1], 3)
  t.equal(c.shape[2], 6)
  t.is_true(states ~= nil, 'states')
  t.error_matches(function() torch.gru_sequence(x, w_ih, w_hh) end, '%[gru%] w_hh must be')
end)

t.test('linear_cross_entropy is the last layer and its loss', function()
  torch.manual_seed(3)
  local x, y = torch.randn { 4, 5, 6 }, torch.randint(7, { 4, 5 })
  local weight, bias = torch.randn { 7, 6 }, torch.randn { 7 }
  y[1][2] = -100
  local logits = torch.linear(x, weight, bias)
  local expected = torch.cross_entropy_loss(logits:reshape { -1, 7 }, y:reshape { -1 })
  t.near(torch.linear_cross_entropy(x, weight, bias, y):item(), expected:item(), 1e-5)
  t.near(torch.linear_cross_entropy(x, weight, nil, y):item(),
    torch.cross_entropy_loss(torch.linear(x, weight):reshape { -1, 7 }, y:reshape { -1 }):item(), 1e-5)
  y[3][0] = 7
  t.error_matches(function() torch.linear_cross_entropy(x, weight, bias, y) end, 'target 7 at %[3, 0%] is out of range')
end)

t.test('the choice of an overload is made anew for every kind of call, in any order', function()
  local x, ids = torch.ones { 2, 3 }, torch.ones({ 2, 3 }, { dtype = 'int64' })
  -- Each expression has another overload, dtype or shape as its neighbours; twice in turn, so that all are remembered.
  local calls = {
    { function() return x:sum() end, 'float32', {} },
    { function() return x:sum(0) end, 'float32', { 3 } },
    { function() return x:sum { dim = 0, keepdim = true } end, 'float32', { 1, 3 } },
    { function() return x:sum { dim = { 0, 1 } } end, 'float32', {} },
    { function() return x:sum { dtype = 'float64' } end, 'float64', {} },
    { function() return x:sum { dtype = 'int64' } end, 'int64', {} },
    { function() return x:to('float64') end, 'float64', { 2, 3 } },
    { function() return x:to('int32') end, 'int32', { 2, 3 } },
    { function() return ids:add(1) end, 'int64', { 2, 3 } },
    { function() return ids:add(1.5) end, 'float32', { 2, 3 } },
    { function() return ids:add(x) end, 'float32', { 2, 3 } },
    { function() return ids:add(ids) end, 'int64', { 2, 3 } },
    { function() return torch.full({ 2 }, 3) end, 'float32', { 2 } },
    { function() return torch.full({ 2 }, true) end, 'bool', { 2 } },
    { function() return torch.zeros(4) end, 'float32', { 4 } },
    { function() return torch.zeros { 4, 5 } end, 'float32', { 4, 5 } },
    { function() return torch.zeros { 4, dtype = 'int64' } end, 'int64', { 4 } },
    { function() return x:view(3, 2) end, 'float32', { 3, 2 } },
    { function() return x:view { -1 } end, 'float32', { 6 } },
    { function() return torch.cat({ x, x }, 1) end, 'float32', { 2, 6 } },
    { function() return torch.cat { ids, ids } end, 'int64', { 4, 3 } },
  }
  for _ = 1, 3 do
    for i, call in ipairs(calls) do
      local got = call[1]()
      t.equal(got.dtype, call[2], i)
      t.equal({ unpack(got.shape) }, call[3], i)
    end
  end
end)

t.test('a remembered choice still refuses what does not fit', function()
  local x = torch.ones { 2, 3 }
  for _ = 1, 2 do
    t.equal(x:add(x):sum():item(), 12)
    t.error_matches(function() return x:add('three') end, 'no overload takes')
    t.error_matches(function() return x:sum { dimm = 0 } end, "has no argument 'dimm'")
    t.error_matches(function() return x:add(torch.ones { 4, 5 }) end,
      'called as add%(Tensor float32 {2, 3}, Tensor float32 {4, 5}%)')
    t.error_matches(function() return torch.cat({ x, 1 }, 0) end, "torch.cat: argument 'tensors' must be Tensor%[%]")
    local freed
    torch.scope(function() freed = torch.ones { 2, 3 } end)
    t.error_matches(function() return x:add(freed) end, 'freed when its scope ended')
  end
end)

t.test('more kinds of calls than are remembered work as well', function()
  local names = {}
  for i = 1, 40 do names[i] = ('%s%s%s'):format(i % 2 == 0 and 'n' or 'x', ', n', (', n'):rep(i)) end
  for i, arguments in ipairs(names) do
    local f = assert(loadstring('local torch, n = ... local x = n return torch.zeros(' .. arguments .. ')'))
    t.equal(f(torch, 1):dim(), i + 2)
  end
end)

t.test('a tensor whose userdata was collected is not a tensor any more', function()
  local x, y = torch.ones { 2 }, torch.ones { 2 }
  local collect = debug.getmetatable(x).__gc
  collect(x)
  collect(x)
  t.is_false(torch.is_tensor(x))
  t.error_matches(function() return y:add(x) end, 'no overload takes')
  t.equal(y:sum():item(), 2)
end)
