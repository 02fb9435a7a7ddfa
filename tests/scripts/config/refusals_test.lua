-- Values that would be lost or mean nothing: numbers into tensors, lengths, optimisers, tied weights in files.
local models = require 'models'
local nn = require 'nn'
local optim = require 'optim'
local t = require 'testing'
local torch = require 'torch'

t.test('tables and numbers into tensors lose nothing', function()
  local function refused(pattern, data, dtype)
    t.error_matches(function() torch.tensor(data, dtype and { dtype = dtype } or nil) end, pattern)
  end
  refused('torch.tensor: data has no entry 2, but has later ones', { 1, nil, 3 })
  refused('data%[2%] has no entry 1, but has later ones', { { 1, 2 }, { nil, 4 } })
  refused('data%[2%] has 3 entries where others have 2', { { 1, 2 }, { 3, 4, 5 } })
  refused('data%[2%] has 1 entries where others have 2', { { 1, 2 }, { 3 } })
  refused('data%[2%] has rows of different depths', { { 1, 2 }, 3 })
  refused("data%[2%] is a table with the key string 'x', expected a list", { { 1, 2 }, { 3, 4, x = 1 } })
  refused('data%[1%]%[2%] is a boolean among numbers', { { 1, true } })
  refused('data%[2%] is a number among booleans', { true, 0 })
  refused("data%[2%] must be a number or a boolean, got string '2'", { 1, '2' })
  refused('data%[2%] is nan, which int64 does not hold', { 1, 0 / 0 }, 'int64')
  refused('data%[1%] is inf, which int32 does not hold', { math.huge }, 'int32')
  refused('data%[1%] is 1.1805916207174113e%+21, which int64 does not hold: above 2%^53', { 2 ^ 70 }, 'int64')
  refused('data is 18014398509481984, which int64 does not hold: above 2%^53', 2 ^ 54, 'int64')
  refused('data%[1%]%[2%] is 256, which uint8 does not hold', { { 0, 256 } }, 'uint8')
  refused('data%[2%] is 1.5, which int64 does not hold', { 1, 1.5 }, 'int64')
  refused('data%[1%] is 1[.%d]*e%+300, which float32 does not hold', { 1e300 })
  t.equal(torch.tensor({ 1e300 }, { dtype = 'float64' })[0]:item(), 1e300)
  t.equal(torch.tensor({ -(2 ^ 53) }, { dtype = 'int64' })[0]:item(), -(2 ^ 53))
  t.is_true(torch.tensor { math.huge }[0]:item() == math.huge)
  t.equal(torch.tensor { { true, false } }.dtype, 'bool')
  t.equal(torch.tensor { 1, 2, dtype = 'int64' }:tolist(), { 1, 2 })
  t.equal(torch.tensor({ { 1, 2 }, { 3, 4 } }):tolist(), { { 1, 2 }, { 3, 4 } })
  t.equal(torch.tensor {}.shape[1], 0)
end)

t.test('lengths and indices are checked where they enter', function()
  local attention, x = nn.MultiheadAttention { 8, 2 }, torch.randn { 2, 5, 8 }
  local function lengths(a, b) return torch.tensor({ a, b }, { dtype = 'int64' }) end
  for _, wrong in ipairs { 6, 9, -1 } do
    t.error_matches(function() nn.key_padding(lengths(wrong, 5), attention, x) end,
      '%[KeyPadding%] lengths must be from 0 to 5, the positions of the input, got '
        .. tostring(wrong):gsub('%-', '%%-'))
  end
  t.equal(tostring(nn.key_padding(lengths(0, 5), attention, x).shape), '{2, 5, 8}')
  t.error_matches(function() torch.set_num_threads(1.5) end,
    "torch.set_num_threads: argument 'threads' must be int, got number 1.5")
  t.error_matches(function() require('tscore').loop(attention, 2.5, function() end) end,
    "tscore.loop: argument 'n' must be int, got number 2.5")
end)

t.test('optimisers and schedules refuse what would silently do nothing', function()
  local layer = nn.Linear { 2, 2 }
  local function refused(pattern, parameters, options)
    t.error_matches(function() optim.SGD(parameters, options) end, pattern)
  end
  refused('optim.SGD: nesterov looks ahead along the momentum, and needs momentum above 0 and no dampening, '
    .. 'got momentum 0', layer, { lr = 0.1, nesterov = true })
  refused('got momentum 0.9 and dampening 0.5', layer, { lr = 0.1, nesterov = true, momentum = 0.9, dampening = 0.5 })
  refused('optim.SGD: there are no parameters to train', {}, { lr = 0.1 })
  refused('there are no parameters to train', nn.Tanh(), { lr = 0.1 })
  refused('optim.SGD group 1: there are no parameters to train', { { params = {} } }, { lr = 0.1 })
  refused('optim.SGD: parameter 0 is computed from other tensors', { layer.weight * 2 }, { lr = 0.1 })
  optim.SGD(layer, { lr = 0.1, nesterov = true, momentum = 0.9 })
end)

t.test('a tied weight has one value in a file, under each of its names or one of them', function()
  local function model()
    return models.transformer_lm { vocab = 7, max_len = 4, d_model = 4, heads = 2, ff = 8, layers = 1, tied = true }
  end
  local net, differing, equal, shared, path = model(), {}, {}, {}, t.temporary_path()
  for name, tensor in pairs(net:state_dict()) do
    differing[name], equal[name] = tensor:clone(), tensor:clone()
    if name ~= 'head.weight' then shared[name] = tensor:clone() end
  end
  differing['head.weight'] = differing['head.weight'] + 1
  local other = model()
  local before = other:state_dict()['embed.weight']:clone()
  torch.save(differing, path)
  t.error_matches(function() other:load(path) end,
    'it has one tensor for embed.weight and head.weight, which have different values here')
  t.is_true(torch.equal(other:state_dict()['embed.weight'], before))
  torch.save(equal, path)
  other:load(path)
  t.is_true(torch.equal(other:state_dict()['embed.weight'], equal['embed.weight']))
  torch.save(shared, path, { format = 'pt', ['head.weight'] = 'embed.weight' }) -- as other programs write it
  model():load(path)
  torch.save(shared, path)
  t.error_matches(function() model():load(path) end, 'missing head.weight')
end)
