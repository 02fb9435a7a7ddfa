-- RandyGPT: the sizes and untrained losses of its versions, and what its incomplete gradients leave out.
local count_models = require 'research.count_models'
local gradcheck = require 'guards.gradients'
local gradient_modes = require 'research.gradient_modes'
local models = require 'models'
local optim = require 'optim'
local rgpt_weights = require 'research.rgpt_weights'
local t = require 'testing'
local torch = require 'torch'

local function random_ids(vocab, sizes) return torch.randint(vocab, sizes, { dtype = 'int64' }) end

local function mean_loss(net, x, y)
  local logits = net(x)
  return torch.cross_entropy_loss(logits:view { -1, logits:size(-1) }, y:view(-1))
end

t.test('the versions have the published numbers of parameters', function()
  for version, count in pairs { ['v0.3'] = 811776, ['v0.4'] = 4769280, ['v0.5'] = 1204992, ['v0.9'] = 4818432 } do
    t.equal(models.randygpt({ vocab = 67, version = version }):parameter_count(), count, version)
  end
  local net = models.randygpt { vocab = 67, d_model = 32, heads = 4, layers = 2, max_len = 16 }
  t.equal(net:parameter_count(), 2 * 67 * 32 + 16 * 32 + 12 * 2 * 32 * 32)
  t.equal(models.randygpt({ vocab = 67, tied = true }):parameter_count(), 811776 - 67 * 128)
end)

t.test('an untrained model guesses with our initial values, and does worse with the published ones', function()
  torch.manual_seed(1)
  local x, y = random_ids(67, { 32, 64 }), random_ids(67, { 32, 64 })
  t.near(mean_loss(models.randygpt { vocab = 67 }, x, y):item(), math.log(67), 0.02)
  local published = mean_loss(models.randygpt { vocab = 67, init = 'v03' }, x, y):item()
  t.is_true(published > 5.6 and published < 6.4, published)
end)

local TINY = { vocab = 13, d_model = 8, heads = 2, layers = 2, max_len = 6 }

local function tiny(mode)
  torch.manual_seed(4)
  local o = { grad_mode = mode, init = 'v03' }
  for key, value in pairs(TINY) do o[key] = value end
  local net = models.randygpt(o)
  net:to 'float64'
  return net
end

local function gradients_of(net, loss)
  net:zero_grad()
  loss():backward()
  local found = {}
  for _, parameter in ipairs(net:named_parameters()) do
    found[parameter.name] = parameter.tensor.grad and parameter.tensor.grad:clone() or false
  end
  return found
end

t.test('full is the gradient; every other mode has its loss and another gradient', function()
  torch.manual_seed(5)
  local x, y = random_ids(13, { 3, 6 }), random_ids(13, { 3, 6 })
  local full = tiny 'full'
  local expected = mean_loss(full, x, y):item()
  for _, row in ipairs(gradcheck.compare(full, function() return mean_loss(full, x, y) end)) do
    local most = math.max(math.abs(row.gradient), math.abs(row.difference), 1e-3)
    t.is_true(math.abs(row.gradient - row.difference) < 1e-6 * most, ('%s %g %g'):format(row.name, row.gradient,
      row.difference))
  end
  local right = gradients_of(full, function() return mean_loss(full, x, y) end)
  for _, mode in ipairs(gradient_modes.NAMES) do
    if mode ~= 'full' and mode ~= 'last_position' then
      local net = tiny(mode)
      t.near(mean_loss(net, x, y):item(), expected, 1e-12, mode)
      local other, differs = gradients_of(net, function() return mean_loss(net, x, y) end), false
      for name, gradient in pairs(right) do
        differs = differs or not other[name] or not torch.allclose(gradient, other[name], { rtol = 1e-6, atol = 1e-12 })
      end
      t.is_true(differs, mode)
    end
  end
end)

t.test('the modes leave out what their names say', function()
  torch.manual_seed(6)
  local x, y = random_ids(13, { 3, 6 }), random_ids(13, { 3, 6 })
  local function of(mode)
    local net = tiny(mode)
    return gradients_of(net, function() return mean_loss(net, x, y) end)
  end
  local function part(gradient, first) return gradient:narrow(0, first * 8, 8):abs():max():item() end
  for _, mode in ipairs { 'no_attention', 'published_v03', 'published_all' } do
    for name, gradient in pairs(of(mode)) do
      t.equal(gradient == false, name:find 'self_attn' ~= nil, mode .. ' ' .. name)
    end
  end
  local q_wo, current, full = of 'q_wo', of 'kv_current', of 'full'
  for i = 0, 1 do
    local name = ('blocks.%d.self_attn.in_proj_weight'):format(i)
    t.is_true(part(q_wo[name], 0) > 0)
    t.equal(part(q_wo[name], 1), 0)
    t.equal(part(q_wo[name], 2), 0)
    t.is_true(part(current[name], 1) > 0 and part(current[name], 2) > 0)
    t.is_true(not torch.allclose(current[name], full[name]))
  end
  -- At length 1 every key is the current one.
  local one_x, one_y = x:narrow(1, 0, 1), y:narrow(1, 0, 1)
  local function one_layer(mode)
    return models.randygpt { vocab = 13, d_model = 8, heads = 2, layers = 1, max_len = 6, grad_mode = mode }
  end
  local whole, own = one_layer 'norm_identity', one_layer 'kv_current'
  own:load_state_dict(whole:state_dict())
  local a = gradients_of(whole, function() return mean_loss(whole, one_x, one_y) end)
  local b = gradients_of(own, function() return mean_loss(own, one_x, one_y) end)
  t.is_true(torch.allclose(a['blocks.0.self_attn.out_proj.weight'], b['blocks.0.self_attn.out_proj.weight'],
    { rtol = 1e-4, atol = 1e-7 }))
  t.is_true(torch.allclose(a['blocks.0.self_attn.in_proj_weight'], b['blocks.0.self_attn.in_proj_weight'],
    { rtol = 1e-4, atol = 1e-7 }))
end)

t.test('published_v03 of the last position moves the head, the feed-forward and the last position alone', function()
  torch.manual_seed(7)
  local net = models.randygpt { vocab = 13, d_model = 8, heads = 2, layers = 2, max_len = 6, init = 'v03',
    grad_mode = 'published_v03' }
  local before = {}
  for _, p in ipairs(net:named_parameters()) do before[p.name] = p.tensor:detach():clone() end
  local optimizer = optim.Adam(net, { lr = 3e-4 })
  for _ = 1, 3 do
    local x, y = random_ids(13, { 4, 6 }), random_ids(13, { 4, 6 })
    net:zero_grad()
    torch.cross_entropy_loss(net(x):select(1, 5), y:select(1, 5)):backward()
    optimizer:step()
  end
  for _, p in ipairs(net:named_parameters()) do
    local same = torch.equal(p.tensor, before[p.name])
    t.equal(same, p.name:find 'self_attn' ~= nil, p.name)
  end
  local rows = net.positions.weight
  t.is_true(torch.equal(rows:narrow(0, 0, 5), before['positions.weight']:narrow(0, 0, 5)))
  t.is_true(not torch.equal(rows[5], before['positions.weight'][5]))
end)

t.test('counts of one, two and three characters give the loss of their formulas', function()
  local function ids(values) return torch.tensor(values, { dtype = 'int64' }) end
  local found = count_models.losses(ids { 0, 1, 0, 1, 2 }, ids { 0, 1, 1 }, 3)
  local function p(count, all) return -math.log((count + 0.1) / (all + 0.3)) end
  t.near(found.unigram, (p(2, 5) + p(2, 5) + p(2, 5)) / 3, 1e-12)
  t.near(found.bigram, (p(2, 2) + p(0, 2)) / 2, 1e-12)
  t.near(found.trigram, p(0, 2), 1e-12)
end)

-- A file as RandyGPT writes it: a header, then the numbers 0, 1, 2 ...
local function written(magic, vocab, count)
  local ffi = require 'ffi'
  local header, values = ffi.new('uint32_t[4]', { vocab, 7, 8, 0 }), ffi.new('float[?]', count)
  for i = 0, count - 1 do values[i] = i end
  return t.write_file(magic .. ffi.string(header, 16) .. ffi.string(values, 4 * count), '.bin')
end

t.test("RandyGPT's own checkpoints are read by their order, and refused where the size is another", function()
  local net = models.randygpt { vocab = 5, d_model = 4, heads = 2, layers = 2, max_len = 3 }
  local count = 2 * 5 * 4 + 3 * 4 + 12 * 2 * 4 * 4
  t.equal(net:parameter_count(), count)
  for _, copies in ipairs { 1, 3 } do
    rgpt_weights.load(net, written('RGPT0003', 5, copies * count), 2)
    t.equal(net.embed.weight[1][0]:item(), 4)
    t.equal(net.positions.weight[0][0]:item(), 20)
    t.equal(net.head.weight[0][0]:item(), 32)
    t.equal(net.blocks['0'].self_attn.in_proj_weight[4][0]:item(), 52 + 16) -- the first row of the keys
    t.equal(net.blocks['0'].linear2.weight[0][1]:item(), 52 + 64 + 64 + 1)
    t.equal(net.blocks['1'].self_attn.in_proj_weight[0][0]:item(), 52 + 192)
  end
  local function refused(words, path, layers)
    t.error_matches(function() rgpt_weights.load(net, path, layers or 2) end, words)
  end
  refused('has 244 numbers; 2 layers of this model are 436', written('RGPT0001', 5, 244))
  refused('is of a vocabulary of 6, the model has 5', written('RGPT0001', 6, count))
  refused('not a checkpoint of RandyGPT', written('RGPT0009', 5, count))
  refused('cannot be read', '/nowhere/x.bin')
  refused("the model has no 'blocks.2.self_attn.in_proj_weight'", written('RGPT0001', 5, count), 3)
end)
