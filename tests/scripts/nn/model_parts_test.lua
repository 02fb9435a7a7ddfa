-- What a model of one's own is made of: parameters, buffers, Lua models inside of native ones, modes of parts.
local nn = require 'nn'
local model = require 'model'
local optim = require 'optim'
local t = require 'testing'
local torch = require 'torch'
local tscore = require 'tscore'

local function names(module)
  local found = {}
  for i, parameter in ipairs(module:named_parameters()) do found[i] = parameter.name end
  return found
end

local function state_names(module)
  local found = {}
  for name in pairs(module:state_dict()) do found[#found + 1] = name end
  table.sort(found)
  return found
end

local function scaled()
  local net = nn.Container 'Scaled'
  net.body = nn.Linear { 3, 3 }
  net.scale = nn.Parameter(torch.full({ 3 }, 2))
  net.steps = nn.Buffer(torch.tensor({ 4, 5 }, { dtype = 'int64' }))
  net.forward = function(m, x) return m.body(x) * m.scale end
  return net
end

t.test('a model owns the parameters and buffers that are assigned to it', function()
  local net = scaled()
  t.equal(names(net), { 'scale', 'body.weight', 'body.bias' })
  t.equal(state_names(net), { 'body.bias', 'body.weight', 'scale', 'steps' })
  t.equal(net:parameter_count(), 15)
  t.is_true(net.scale.requires_grad and not net.steps.requires_grad)
  net:to 'float64'
  t.equal(net.scale.dtype, 'float64')
  t.equal(net.steps.dtype, 'int64')
  local before = net.scale:tolist()
  net(torch.ones({ 2, 3 }, { dtype = 'float64' })):square():sum():backward()
  optim.SGD(net, { lr = 0.1 }):step()
  t.is_true(net.scale:tolist()[1] ~= before[1])
  t.equal(net.steps:tolist(), { 4, 5 })
end)

t.test('parameters come from sizes, lists, and tensors whose memory they share', function()
  t.equal(tostring(nn.Parameter { 2, 3 }.shape), '{2, 3}')
  t.equal(nn.Parameter(2, 3):sum():item(), 0)
  t.equal(tostring(nn.Parameter { 4 }.shape), '{4}')
  t.is_true(not nn.Parameter { 2, requires_grad = false }.requires_grad)
  local values = torch.zeros { 2 }
  local parameter = nn.Parameter { values }
  values:fill_(3)
  t.equal(parameter:detach():tolist(), { 3, 3 })
  t.error_matches(function() nn.Parameter(torch.arange(3)) end,
    'nn.Parameter: only floating%-point tensors are trained, got int64 {3}')
  t.error_matches(function() nn.Parameter { -1 } end, 'sizes must not be negative, got {%-1}')
  t.error_matches(function() nn.Parameter {} end, "argument 'size'")
  t.is_true(nn.Parameter(values * nn.Parameter { 2 }).is_leaf)
end)

t.test('parameters are saved, loaded and tied', function()
  local net, other = scaled(), scaled()
  local path = t.temporary_path()
  net.scale:detach():fill_(7)
  net:save(path)
  other:load(path)
  t.equal(other.scale:detach():tolist(), { 7, 7, 7 })
  other.scale = net.scale
  net.scale:detach():fill_(8)
  t.equal(other.scale:detach():tolist(), { 8, 8, 8 })
  local third = nn.Container 'Third'
  third.weight = net.body.weight
  t.equal(names(third), { 'weight' })
end)

t.test('what would not be trained, or hides a method, is refused', function()
  local net = scaled()
  t.error_matches(function() net.scale = torch.ones { 3 } end, "Scaled: 'scale' is a parameter, but this tensor is "
    .. 'not, so it would not be trained; assign nn.Parameter%(tensor%)')
  t.error_matches(function() net.scale = 3 end, "Scaled: 'scale' is a parameter, expected a Tensor, got number 3")
  t.error_matches(function() net.scale = nn.Parameter { 4 } end, 'cannot be tied to')
  t.error_matches(function() net.parameters = nn.Parameter { 4 } end,
    "'parameters' means something else for every module")
  t.error_matches(function() net.forward = nn.Linear { 2, 2 } end, "'forward' means something else")
  t.error_matches(function() net.forward = 3 end, 'forward must be a function')
  net.steps = net.steps + 1 -- a buffer takes values
  t.equal(net.steps:tolist(), { 5, 6 })
  net.note = torch.ones { 2 } -- and any other field is just a field
  t.equal(state_names(net), { 'body.bias', 'body.weight', 'scale', 'steps' })
end)

t.test('model.define takes parameters in the order in which they were made', function()
  local made = model.define {
    name = 'raw',
    build = function()
      local zeta = nn.Parameter(torch.randn { 2 })
      return { zeta = zeta, alpha = nn.Parameter(torch.randn { 2 }), body = nn.Linear { 2, 2 },
        count = nn.Buffer { 1 } }
    end,
    forward = function(m, x) return m.body(x * m.zeta + m.alpha) end,
  }
  t.equal(names(made {}), { 'zeta', 'alpha', 'body.weight', 'body.bias' })
  local bad = model.define { name = 'bad', build = function() return { plain = torch.ones { 1 } } end,
    forward = function() end }
  t.error_matches(function() bad {} end,
    "bad: build gives 'plain' as a plain tensor; members are layers, nn.Parameter and nn.Buffer")
end)

t.test('a Lua model inside of a sequence or a residual path is called', function()
  local inner = scaled()
  local net = nn.Sequential {
    { 'first', nn.Linear { 3, 3 } }, { 'inner', inner }, { 'path', nn.Residual { scaled() } } }
  t.equal(names(net)[3], 'inner.scale')
  t.equal(names(net)[6], 'path.fn.scale')
  local x = torch.randn { 2, 3 }
  local first = net.first(x)
  local middle = net.inner(first)
  t.is_true(torch.allclose(net(x), middle + net.path.fn(middle)))
  t.is_true(net.inner == inner)
  -- The only reference to a model is the sequence that holds it.
  local held = nn.Sequential { scaled() }
  collectgarbage()
  collectgarbage()
  t.equal(tostring(held(x).shape), '{2, 3}')
end)

t.test('models that refer to each other are collected', function()
  local watched = setmetatable({}, { __mode = 'v' })
  do
    local net = scaled()
    local outer = nn.Sequential { net }
    net.forward = function(_, x) return outer['0'].body(x) end
    outer(torch.ones { 1, 3 })
    watched[1], watched[2] = net, outer
  end
  for _ = 1, 4 do collectgarbage() end
  t.equal(watched[1], nil)
  t.equal(watched[2], nil)
end)

t.test('an error inside of a nested Lua model keeps its place, and a wrong result is named', function()
  local inner = nn.Container 'Inner'
  inner.forward = function() error 'nothing here' end
  local net = nn.Sequential { nn.Identity(), inner }
  t.error_matches(function() net(torch.ones { 2 }) end, 'model_parts_test.lua:%d+: nothing here')
  inner.forward = function() return 3 end
  t.error_matches(function() net(torch.ones { 2 }) end,
    '%[Inner%] its Lua forward must return a Tensor first, got number 3')
  t.error_matches(function() nn.Sequential { nn.Container 'Empty' } (torch.ones { 2 }) end, '%[Empty%] has no forward')
  t.error_matches(function() nn.Residual { nn.Linear { 2, 3 } } (torch.ones { 1, 2 }) end,
    '%[Residual%] the layer must keep the shape, got %[1, 3%] from %[1, 2%]')
end)

t.test('endless recursion through native code is an error with its chain', function()
  local net = nn.Container 'Net'
  net.body = nn.Linear { 2, 2 }
  net.forward = function(m, x) return m(x) end
  local function loop(how)
    local function f() return torch[how](f) end
    return f
  end
  local sequence = nn.Container 'Loop'
  sequence.body = nn.Linear { 2, 2 }
  local outer = nn.Sequential { sequence }
  sequence.forward = function(_, x) return outer(x) end
  local calls = { function() return net(torch.ones { 1, 2 }) end, function() return outer(torch.ones { 1, 2 }) end,
    loop 'no_grad', loop 'enable_grad', loop 'scope', loop 'fork_rng' }
  for _, call in ipairs(calls) do
    local message = t.error_matches(call, 'calls are nested more than 200 deep through native code')
    t.contains(message, 'itself? ')
    t.matches(message, 'model_parts_test.lua:%d+')
  end
  net.forward = function(m, x)
    local y = m(x)
    return y
  end
  t.error_matches(function() net(torch.ones { 1, 2 }) end, 'model_parts_test.lua:%d+ %(%d+ times%) < ')
  t.equal(tostring(net.body(torch.ones { 1, 2 }).shape), '{1, 2}') -- and nothing is left behind
end)

t.test('the mode of a part survives what puts the whole into eval mode for a while', function()
  local net = nn.Sequential { { 'a', nn.Dropout { 0.5 } }, { 'b', nn.Sequential { nn.Dropout { 0.5 } } } }
  net.b:eval()
  local modes = net:modes()
  t.equal(modes, { true, true, false, false })
  net:eval()
  net:set_modes(modes)
  t.equal(net.a.training, true)
  t.equal(net.b.training, false)
  t.equal(net.training, true)
  t.error_matches(function() net:set_modes { true } end, 'the model has 4 modules, got 1 modes')
end)

-- T-Score of parameters that operators use.
local function expect_exact(net, x, loss)
  net:to 'float64'
  x = x:double()
  local n = x:size(0)
  local exact = tscore.measure(net, function() return loss(net(x)) / n end)
  local loop = tscore.loop(net, n, function(i) return loss(net(x[{ { i, i + 1 } }])) end)
  t.near(exact.t, loop.t, 1e-9)
  for i = 1, n do t.near(exact.sample_sq[i] * n * n, loop.sample_sq[i], 1e-9 * (1 + loop.sample_sq[i])) end
end

t.test('parameters used by operators have the T-Score of n backward passes', function()
  torch.manual_seed(3)
  local function squares(y) return y:square():sum() + y:sin():sum() end
  local forms = {
    add = function(m, x) return x + m.v end,
    sub = function(m, x) return m.v - x end,
    mul = function(m, x) return x * m.v end,
    div = function(m, x) return x / (m.v:square() + 1) end,
    pow = function(m, x) return (x:square() + 1):pow(m.v) end,
    in_place = function(m, x) return (x * 2):add_(m.v):mul_(m.v) end,
    scalar = function(m, x) return x * m.s end,
    leading_one = function(m, x) return x + m.row end,
    matmul = function(m, x) return x:matmul(m.w) end,
    matmul_vector = function(m, x) return x:matmul(m.v) end,
    matmul_left = function(m, x) return m.w:matmul(x:transpose(1, 2)) end,
    transposed = function(m, x) return x:matmul(m.w:t()) end,
    linear = function(m, x) return torch.linear(x, m.w, m.v) end,
    exponent = function(m, x) return x * m.v:exp() end,
    softmax = function(m, x) return x * m.v:softmax(0) + m.v end,
    chain = function(m, x) return x * (m.v:exp() * m.v):view { 1, 1, 4 } end,
    masked = function(m, x) return x:matmul(m.w * torch.eye(4, { dtype = 'float64' })) end,
    positions = function(m, x) return x + m.table:narrow(0, 0, x:size(1)) end,
    twice = function(m, x) return (x:matmul(m.w)):tanh():matmul(m.w) * m.v end,
    prelu = function(m, x) return torch.prelu(x, m.slope) end,
    where = function(m, x) return torch.where(x:gt(0), x * m.v, m.v:expand_as(x[{ { 0, 1 } }])) end,
  }
  for _, shape in ipairs { { 5, 3, 4 } } do
    for name, forward in pairs(forms) do
      local net = nn.Container(name)
      net.v, net.s = nn.Parameter(torch.randn { 4 }), nn.Parameter(torch.tensor(1.5))
      net.row, net.w = nn.Parameter(torch.randn { 1, 3, 4 }), nn.Parameter(torch.randn { 4, 4 })
      net.table, net.slope = nn.Parameter(torch.randn { 6, 4 }), nn.Parameter(torch.rand { 3 })
      net.forward = forward
      local ok, problem = pcall(expect_exact, net, torch.randn(shape), squares)
      if not ok then error(name .. ': ' .. tostring(problem), 0) end
    end
  end
end)

t.test('a use that tells no samples apart is refused by name, and only where it is trained on', function()
  local net = nn.Container 'Net'
  net.w, net.body = nn.Parameter(torch.randn { 4 }), nn.Linear { 4, 2 }
  local x = torch.randn { 5, 4 }
  net.forward = function(m, input) return m.body(input) end
  local function measured(extra)
    return tscore.measure(net, function() return net(x):square():mean() + extra() end)
  end
  t.error_matches(function() measured(function() return net.w:square():sum() * 0.01 end) end,
    "tscore: parameter 'w' is used by torch.add which gives no gradients of single samples .*tscore.mode='loop'")
  t.error_matches(function() measured(function() return (x * net.w:cumprod(0)):mean() end) end,
    "parameter 'w' is used by torch.cumprod")
  t.equal(measured(function() return net.w:norm():item() end).status, 'ok')
end)
