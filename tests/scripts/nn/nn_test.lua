-- Layers and models from Lua: how they are made, called, named and changed.
local model = require 'model'
local models = require 'models'
local nn = require 'nn'
local t = require 'testing'
local torch = require 'torch'

local function ids(values) return torch.tensor(values, { dtype = 'int64' }) end

local function names(module)
  local found = {}
  for i, parameter in ipairs(module:named_parameters()) do found[i] = parameter.name end
  return found
end

t.test('options come by position, by name, or both', function()
  for _, layer in ipairs { nn.Linear(4, 2, false), nn.Linear { 4, 2, false }, nn.Linear { 4, 2, bias = false },
    nn.Linear(4, 2, { bias = false }), nn.Linear { in_features = 4, out_features = 2, bias = false } } do
    t.equal(tostring(layer), 'Linear(4, 2, bias=false)')
    t.equal(names(layer), { 'weight' })
  end
end)

t.test('wrong options say what is wrong, then the signature', function()
  local signature = ' (nn.Linear(int in_features, int out_features, bool bias=True))'
  local function refused(text, ...)
    local given = { ... }
    local err = t.error_matches(function() local _ = nn.Linear(unpack(given)) end, 'nn_test.lua:%d+: ')
    t.contains(err, ': nn.Linear: ' .. text .. signature)
  end
  refused("has no argument 'bais'; did you mean 'bias'?", { 4, 2, bais = false })
  refused("argument 'out_features' (int) is missing", 4)
  refused("argument 'out_features' must be int, got string 'a'", { 4, 'a' })
  refused("argument 'bias' must be bool, got number 3", 4, 2, 3)
  t.error_matches(function() local _ = nn.Linear { 4, -2 } end, ': nn.Linear: sizes must be positive, got 4 and %-2$')
  t.error_matches(function() return nn.Linaer end, "nn has no 'Linaer'; did you mean 'Linear'")
end)

t.test('layers compute what their operators compute', function()
  local x = torch.randn { 2, 3, 4 }
  local linear, norm = nn.Linear { 4, 5 }, nn.LayerNorm { 4 }
  t.is_true(torch.allclose(linear(x), torch.linear(x, linear.weight, linear.bias)))
  t.is_true(torch.allclose(norm(x), torch.layer_norm(x, { 4 }, norm.weight, norm.bias)))
  t.is_true(torch.equal(nn.Tanh()(x), x:tanh()))
  local table_of = nn.Embedding { 6, 3 }
  t.is_true(torch.equal(table_of(ids { { 1, 5 } })[{ 0, 1 }], table_of.weight[5]))
end)

t.test('inputs that do not fit say what was expected', function()
  local function refused(pattern, layer, input) t.error_matches(function() local _ = layer(input) end, pattern) end
  refused('%[Linear%] input must be %(..., 4%), got %[3, 5%]', nn.Linear { 4, 2 }, torch.ones { 3, 5 })
  refused('%[Embedding%] ids must be int64 or int32, got Float', nn.Embedding { 4, 2 }, torch.ones { 3 })
  refused("%[Embedding%] id 9 at %[0%] is outside of the table's 4 rows", nn.Embedding { 4, 2 }, ids { 9 })
  refused("Linear: input: expected a Tensor, got string 'x'", nn.Linear { 4, 2 }, 'x')
  t.error_matches(function() local _ = nn.Linear { 4, 2 }() end, 'Linear: called without an input')
  refused('%[GRU%] input must be %(B, T, 3%)', nn.GRU { 3, 4 }, torch.ones { 3 })
end)

t.test('recurrent layers give back their state, which can be carried', function()
  torch.manual_seed(1)
  local x = torch.randn { 2, 6, 3 }
  for _, cell in ipairs { nn.GRU { 3, 4, num_layers = 2 }, nn.LSTM { 3, 4, num_layers = 2 } } do
    local whole, state = cell(x)
    t.equal(tostring(whole.shape), '{2, 6, 4}')
    t.equal(tostring((torch.is_tensor(state) and state or state[1]).shape), '{2, 2, 4}')
    local first, carried = cell(x[{ {}, { 0, 3 } }])
    local second = cell(x[{ {}, { 3 } }], carried)
    t.is_true(torch.allclose(torch.cat({ first, second }, 1), whole, { atol = 1e-6 }))
  end
  t.error_matches(function() nn.GRU { 3, 4 }(x, torch.ones { 1, 9, 4 }) end,
    '%[GRU%] state must be %(1, 2, 4%), got %[1, 9, 4%]')
end)

t.test('a sequence names its layers and carries state through', function()
  local net = nn.Sequential {
    { 'embed', nn.Embedding { 5, 3 } }, { 'rnn', nn.GRU { 3, 4 } }, { 'head', nn.Linear { 4, 5 } } }
  local logits, state = net(ids { { 0, 1, 2 } })
  t.equal(tostring(logits.shape), '{1, 3, 5}')
  t.equal(tostring(state.shape), '{1, 1, 4}')
  t.equal(names(net)[1], 'embed.weight')
  t.equal(names(nn.Sequential { nn.Linear { 1, 2 }, nn.Tanh(), nn.Linear { 2, 1 } }),
    { '0.weight', '0.bias', '2.weight', '2.bias' })
  t.equal(tostring(nn.Sequential { { 'up', nn.Linear { 2, 3 } }, nn.Tanh() }),
    'Sequential\n  (up) Linear(2, 3)\n  (1) Tanh')
  t.error_matches(function() nn.Sequential { 3 } end, 'entry 1')
end)

t.test('members are reached by name, and a typo names the nearest', function()
  local net = models.char_rnn { vocab = 7, embed = 3, hidden = 4, layers = 1 }
  t.equal(tostring(net.head), 'Linear(4, 7)')
  t.fields(net, { kind = 'Sequential', training = true })
  t.equal(net.head.kind, 'Linear')
  t.error_matches(function() return net.hed end, "Sequential has no member 'hed'; did you mean 'head'")
  t.error_matches(function() return net.head.wieght end, "Linear has no member 'wieght'; did you mean 'weight'")
end)

local mean_net = model.define {
  name = 'mean_net',
  args = { vocab = 'int', embed = { 'int', 4 }, tied = { 'boolean', false } },
  build = function(a)
    local made = { zeta = nn.Embedding { a.vocab, a.embed }, alpha = nn.Linear { a.embed, a.vocab, bias = false } }
    if a.tied then made.alpha.weight = made.zeta.weight end
    return made
  end,
  forward = function(m, x) return m.alpha(m.zeta(x):cumsum(1)) end,
}

t.test('a model written in Lua has field paths as names, in order of creation', function()
  local net = mean_net { vocab = 6 }
  t.equal(names(net), { 'zeta.weight', 'alpha.weight' })
  t.equal(tostring(net(ids { { 1, 2, 3 } }).shape), '{1, 3, 6}')
  t.equal(tostring(net), 'mean_net\n  (zeta) Embedding(6, 4)\n  (alpha) Linear(4, 6, bias=false)')
  t.equal(net:parameter_count(), 48)
end)

t.test('options of a model are checked', function()
  t.error_matches(function() mean_net { vocab = 6, embde = 3 } end,
    "mean_net: unknown option 'embde'; nearest: embed %(int%)")
  t.error_matches(function() mean_net {} end, "option 'vocab' %(int%) is required")
  t.error_matches(function() return models.char_rn end, "models has no 'char_rn'; nearest: char_rnn")
  t.error_matches(function() models.char_rnn { vocab = 5, cell = 'gur' } end, "'gur'; nearest: gru")
end)

t.test('the same seed makes the same model', function()
  local function made()
    torch.manual_seed(4)
    return mean_net { vocab = 6 }
  end
  t.is_true(torch.equal(made().alpha.weight, made().alpha.weight))
end)

t.test('a tied weight counts once and gets both gradients', function()
  local net = mean_net { vocab = 6, tied = true }
  t.equal(names(net), { 'zeta.weight' })
  t.equal(net:parameter_count(), 24)
  t.equal(net:state_dict()['alpha.weight']:is_same(net:state_dict()['zeta.weight']), false)
  net(ids { { 1 } }):sum():backward()
  t.is_true(net.zeta.weight.grad[0]:abs():sum():item() > 0, 'the head\'s part')
  t.error_matches(function() net.alpha.weight = nn.Parameter { 2, 2 } end, 'cannot be tied')
end)

t.test('models nest', function()
  local outer = nn.Container 'outer'
  outer.inner = mean_net { vocab = 6 }
  outer.scale = nn.Linear { 6, 1 }
  outer.forward = function(m, x) return m.scale(m.inner(x)) end
  t.equal(tostring(outer(ids { { 1, 2 } }).shape), '{1, 2, 1}')
  t.equal(names(outer), { 'inner.zeta.weight', 'inner.alpha.weight', 'scale.weight', 'scale.bias' })
  t.equal(#outer:layers(), 3)
  t.error_matches(function() outer.scale = nn.Linear { 1, 1 } end, "already has a member 'scale'")
  t.error_matches(function() nn.Container 'empty'(torch.ones { 1 }) end, 'empty has no forward: assign a function')
end)

t.test('an error in a Lua forward names its line', function()
  local net = nn.Container 'bad'
  net.layer = nn.Linear { 2, 2 }
  local line = debug.getinfo(1, 'l').currentline + 1
  net.forward = function(m, x) local y = m.layer(x) + torch.ones { 7 } return y end
  t.error_matches(function() local _ = net(torch.ones { 1, 2 }) end, 'nn_test.lua:' .. line .. ': torch.add')
end)

t.test('train and eval switch dropout, for children too', function()
  local net = nn.Sequential { nn.Dropout { 0.5 } }
  local x = torch.ones { 1000 }
  t.is_true(net(x):eq(0):any():item())
  net:eval()
  t.equal(net.training, false)
  t.equal(net['0'].training, false)
  t.equal(torch.equal(net(x), x), true)
  net:train()
  t.equal(net.training, true)
  t.equal(net['0'].training, true)
  t.error_matches(function() nn.Dropout { 1 } end, 'p must be in %[0, 1%), got 1')
end)

t.test('a model changes its dtype in place', function()
  local net = mean_net { vocab = 6 }
  local weight = net.alpha.weight
  t.is_true(rawequal(net, net:to 'float64'))
  t.equal(net.alpha.weight.dtype, 'float64')
  t.equal(weight.dtype, 'float64')
  t.equal(net(ids { { 1 } }).dtype, 'float64')
  t.error_matches(function() net:to 'int64' end, 'must have a floating%-point dtype, got int64')
  t.error_matches(function() net:to 'flaot64' end, "device 'flaot64' is not known")
end)

t.test('a state dict is loaded strictly', function()
  local from, to = mean_net { vocab = 6 }, mean_net { vocab = 6 }
  t.is_true(rawequal(to, to:load_state_dict(from:state_dict())))
  t.is_true(torch.equal(from.alpha.weight, to.alpha.weight))
  local wrong = { ['zeta.weight'] = torch.ones { 2, 4 }, extra = torch.ones { 1 } }
  local err = t.error_matches(function() to:load_state_dict(wrong) end, 'weights do not fit the model: '
    .. 'missing alpha.weight; not in the model extra; wrong shape zeta.weight %(2, 4%) instead of %(6, 4%)')
  t.equal(require('fail').code_of(err), 5)
end)

t.test('zero_grad forgets gradients', function()
  local net = mean_net { vocab = 6 }
  net(ids { { 1 } }):sum():backward()
  net:zero_grad()
  for _, parameter in ipairs(net:parameters()) do t.equal(parameter.grad, nil) end
end)

t.test('a module cannot be below itself', function()
  local m, inner = nn.Container(), nn.Container()
  t.error_matches(function() m.x = m end, "cannot contain itself, as 'x'")
  m.inner = inner
  t.error_matches(function() inner.back = m end, "cannot contain itself, as 'back'")
end)

t.test('sizes out of range are config errors about the value', function()
  local err = t.error_matches(function() return nn.GRU { 8, 8, dropout = 2 } end,
    ': nn.GRU: dropout must be in %[0, 1%), got 2$')
  t.equal(require('fail').code_of(err), 3)
  t.equal(require('fail').code_of(t.error_matches(function() return nn.Linear { 0, 4 } end, 'sizes must be positive')),
    3)
end)
