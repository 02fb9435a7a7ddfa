-- models.transformer_lm and the transformer layers from Lua: sizes, initial values, what a token sees, training,
-- sampling.
local models = require 'models'
local nn = require 'nn'
local runs = require 'testing.runs'
local t = require 'testing'
local torch = require 'torch'
local tscore = require 'tscore'

local function ids(values) return torch.tensor(values, { dtype = 'int64' }) end

local function small(more)
  local options = { vocab = 11, max_len = 12, d_model = 8, heads = 2, ff = 12, layers = 2 }
  for key, value in pairs(more or {}) do options[key] = value end
  return models.transformer_lm(options)
end

t.test('four blocks of the published size have the published number of parameters', function()
  local net = models.transformer_lm { vocab = 10000, max_len = 64, d_model = 128, heads = 4, ff = 256, layers = 4 }
  t.equal(net:parameter_count(), 3108368)
  t.equal(net.blocks['0']:parameter_count(), 132480)
  t.equal(net:parameter_count() - 4 * 132480, 2578448)
  t.equal(tostring(net.blocks['0'].self_attn.in_proj_weight.shape), '{384, 128}')
  t.equal(tostring(net.positions.weight.shape), '{64, 128}')
end)

t.test('xavier initial values have their bounds, biases and expected first loss', function()
  torch.manual_seed(1)
  local V, d = 300, 32
  local net = models.transformer_lm {
    vocab = V, max_len = 16, d_model = d, heads = 4, ff = 64, layers = 2, init = 'xavier' }
  for _, parameter in ipairs(net:named_parameters()) do
    local name, tensor = parameter.name, parameter.tensor
    local most = tensor:abs():max():item()
    if tensor:dim() == 2 then
      local bound = math.sqrt(6 / (tensor:size(0) + tensor:size(1)))
      t.is_true(most <= bound and most > 0.95 * bound, name)
    elseif name:match 'self_attn.*bias' or name:match 'norm.*bias' then
      t.equal(most, 0, name)
    elseif name:match 'linear%d%.bias' then
      t.is_true(most > 0 and most <= 1 / math.sqrt(name:match 'linear1' and d or 64), name)
    end
  end
  local x, y = torch.randint(V, { 16, 16 }, { dtype = 'int64' }), torch.randint(V, { 256 }, { dtype = 'int64' })
  local loss = torch.cross_entropy_loss(net(x):view { -1, V }, y):item()
  t.near(loss, math.log(V) + d / (V + d), 0.2)
end)

t.test('a later token changes no logit before it', function()
  for _, norm_first in ipairs { false, true } do
    torch.manual_seed(2)
    local net = small { norm_first = norm_first }
    local x = torch.randint(11, { 2, 9 }, { dtype = 'int64' })
    local other = x:clone()
    other[{ {}, 5 }] = (x[{ {}, 5 }] + 1) % 11
    local a, b = net(x), net(other)
    t.is_true(torch.equal(a[{ {}, { 0, 5 } }], b[{ {}, { 0, 5 } }]))
    t.is_true(not torch.equal(a[{ {}, 5 }], b[{ {}, 5 }]))
  end
  local net = small { causal = false }
  t.is_true(not torch.equal(net(ids { { 1, 2, 3 } })[{ 0, 0 }], net(ids { { 1, 2, 4 } })[{ 0, 0 }]))
end)

t.test('a sequence that is too long and sizes that do not fit are named', function()
  t.error_matches(function() small()(torch.zeros({ 1, 13 }, { dtype = 'int64' })) end,
    '%[PositionalEmbedding%] there are positions for 12 steps %(max_len%), the sequence has 13')
  t.equal(tostring(small { positions = 'sinusoidal' }(torch.zeros({ 1, 40 }, { dtype = 'int64' })).shape),
    '{1, 40, 11}')
  t.error_matches(function() small { heads = 3 } end, 'nhead must divide d_model, got 3 heads for 8')
  t.error_matches(function() small { layers = 0 } end, 'layers must be 1 or more')
  t.error_matches(function() small { norm = 'lyer' } end, "'lyer'; nearest: layer")
end)

t.test('a tied head is the embedding, and T-Score counts both uses', function()
  local net = small { tied = true, positions = 'sinusoidal' }
  t.is_true(net.head.weight:is_same(net.embed.weight))
  t.equal(small():parameter_count() - net:parameter_count(), 11 * 8 + 12 * 8)
  net:to 'float64'
  local x, y = torch.randint(11, { 3, 5 }, { dtype = 'int64' }), torch.randint(11, { 3, 5 }, { dtype = 'int64' })
  local function loss_of(first, count)
    local logits = net(x[{ { first, first + count } }]):view { -1, 11 }
    return torch.cross_entropy_loss(logits, y[{ { first, first + count } }]:reshape { -1 }) * count / 3
  end
  local exact = tscore.measure(net, function() return loss_of(0, 3) end)
  local loop = tscore.loop(net, 3, function(i) return loss_of(i, 1) end)
  t.near(exact.t, loop.t, 1e-9)
  t.near(exact.q / loop.q, 1, 1e-9)
end)

t.test('padding is given around a forward, as lengths or as a mask', function()
  local layer, x = nn.MultiheadAttention { 4, 2 }, torch.randn { 2, 3, 4 }
  local by_length = nn.key_padding(ids { 2, 3 }, function() return layer(x) end)
  local mask = torch.tensor { { false, false, true }, { false, false, false } }
  t.is_true(torch.equal(by_length, nn.key_padding(mask, layer, x)))
  t.is_true(torch.equal(by_length[1], layer(x)[1]))
  t.is_true(torch.allclose(by_length[0][{ { 0, 2 } }], layer(x[{ { 0, 1 }, { 0, 2 } }])[0], { atol = 1e-6 }))
  t.is_true(torch.isfinite(nn.key_padding(ids { 0, 3 }, layer, x)):all():item())
  t.error_matches(function() nn.key_padding(ids { 1 }, layer, x) end, 'the input has 2 samples, the padding 1')
  t.error_matches(function() nn.key_padding(ids { 2, 3 }, function() error 'mine' end) end, 'mine')
  t.is_true(torch.equal(layer(x), layer(x)), 'no scope is left after an error')
  t.is_true(not torch.equal(layer(x)[0], by_length[0]))
  t.error_matches(function() nn.key_padding(3, layer, x) end, 'padding: expected a Tensor')
end)

t.test('relations are given around a forward, and their tables begin with nothing', function()
  local relations = torch.tensor({ { 0, 1, 1 }, { 2, 0, 2 } }, { dtype = 'int64' })
  local x = torch.randn { 2, 3, 8 }
  local function attention_of(o) return nn.MultiheadAttention { 8, 2, relations = o } end
  local function block_of(o) return nn.TransformerEncoderLayer { 8, 2, 16, dropout = 0, relations = o } end
  for _, make in ipairs { attention_of, block_of } do
    torch.manual_seed(4)
    local plain = make(0)
    torch.manual_seed(4)
    local related = make(3)
    t.matches(tostring(related), 'relations=3')
    t.is_true(torch.equal(nn.key_relations(relations, related, x), plain(x)))
    local attention = make == block_of and related.self_attn or related
    t.equal(tostring(attention.relation_bias.shape), '{2, 3}')
    torch.no_grad(function() attention.relation_bias:fill_(2) end)
    t.is_true(not torch.allclose(nn.key_relations(relations, related, x), plain(x), { atol = 1e-4 }))
    t.is_true(torch.equal(nn.key_relations(torch.zeros_like(relations), related, x), plain(x)))
    t.error_matches(function() related(x) end, 'nobody told how the positions are related; call it in nn.key_relations')
    t.error_matches(function() nn.key_relations(relations + 1, related, x) end,
      'relation 3 is outside of the tables, which have 3 %(from 0, none, to 2%)')
    t.error_matches(function() nn.key_relations(relations[{ {}, { 0, 2 } }]:contiguous(), related, x) end,
      'the input has 2 samples of 3 positions, the relations are %[2, 2%]')
    local exact = tscore.measure(related, function()
      return nn.key_relations(relations, related, x):square():mean()
    end)
    local loop = tscore.loop(related, 2, function(i)
      local one = nn.key_relations(relations[{ { i, i + 1 } }], related, x[{ { i, i + 1 } }])
      return one:square():mean() / 2
    end)
    t.near(exact.q / loop.q, 1, 1e-4)
    t.near(exact.s / loop.s, 1, 1e-4)
  end
  t.error_matches(function() nn.key_relations(3, nn.Linear { 8, 8 }, x) end, 'relations: expected a Tensor')
end)

local pieces = {}
for i = 1, 300 do pieces[i] = ({ 'abcd ', 'efgh ' })[i * i % 7 % 2 + 1] end
local TEXT = runs.write('text.txt', table.concat(pieces))

t.test('a few steps of training lower the loss, with T-Score, and text is drawn beyond max_len', function()
  local ran = runs.run(([[
local experiment, data, models, train = require 'experiment', require 'data', require 'models', require 'train'
local cfg = experiment.config { data = { file = %q, batch = 8, seq = 12, stride = 6, allow_leak = true },
  optim = { lr = 0.01 }, train = { epochs = 1, max_steps = 25, seed = 3 }, tscore = { every = 1 } }
local text = data.text(cfg.data)
local net = models.transformer_lm {
  vocab = text.vocab_size, max_len = 12, d_model = 16, heads = 2, ff = 32, layers = 2, dropout = 0.1 }
local fit = train.fit { model = net, data = text, optim = cfg.optim, options = cfg.train, tscore = cfg.tscore }
local drawn = train.generate(net, text, { prompt = 'abcd efgh ', length = 40, temperature = 0 })
print('drawn', #drawn, fit.state)]]):format(TEXT))
  t.equal(ran.code, 0, ran.output)
  t.contains(ran.output, 'drawn\t40\tLIMIT')
  local train = ran.lines.train
  t.is_true(train[#train].loss < 0.7 * train[1].loss, train[1].loss .. ' to ' .. train[#train].loss)
end)
