-- Facts of GraphMER that need no training: sizes, tables of relations, padding, masks, losses, accumulation.
local constraints = require 'graph.constraints'
local data = require 'data'
local models = require 'models'
local objective = require 'graph.objective'
local t = require 'testing'
local torch = require 'torch'
local train = require 'train'

local VOCAB, RELATIONS = 50, 4
local SPECIAL = { pad = 0, cls = 1, sep = 2, mask = 3, rel = 4, unk = 5 }

local function small(changes)
  local given = { relations = RELATIONS, vocab = VOCAB, d_model = 32, layers = 2, heads = 2, ff = 64, max_len = 64,
    dropout = 0, rel_token = SPECIAL.rel }
  for name, value in pairs(changes or {}) do given[name] = value end
  torch.manual_seed(given.seed or 1)
  given.seed = nil
  return models.graphmer(given)
end

-- Samples of `code` tokens of code and as many leaves as there are sizes, all numbers a function of the sample's own.
local function samples_of(list)
  local made = { ids = {}, rel = {}, offsets = { 0 } }
  local function put(id, relation)
    made.ids[#made.ids + 1], made.rel[#made.rel + 1] = id, relation
  end
  for n, sample in ipairs(list) do
    put(SPECIAL.cls, 0)
    for i = 1, sample.code do put(6 + (7 * n + 3 * i * i) % 44, 0) end
    put(SPECIAL.sep, 0)
    for leaf, size in ipairs(sample.leaves or {}) do
      local relation = 1 + (n + leaf) % (RELATIONS - 1)
      put(SPECIAL.rel, relation)
      for i = 1, size do put(6 + (11 * n + 5 * i + leaf * leaf) % 44, relation) end
      put(SPECIAL.sep, 0)
    end
    made.offsets[n + 1] = #made.ids
  end
  return made
end

local function numbers(count)
  local list = {}
  for i = 1, count do list[i] = i end
  return list
end

local function masked(list, changes)
  local given = { samples = samples_of(list), train = numbers(#list), vocab_size = VOCAB, special = SPECIAL, batch = 4,
    shuffle = false, bucket = false, seed = 1 }
  for name, value in pairs(changes or {}) do given[name] = value end
  return data.masked(given).train
end

-- Eight samples of different lengths.
local MIXED = {}
for n = 1, 8 do MIXED[n] = { code = 3 + 2 * n, leaves = { 2 + n % 3, 4, n % 2 == 0 and 3 or nil } } end

local function largest(x) return x:abs():max():item() end

t.test('the published model has the published numbers of parameters', function()
  local function count(changes)
    changes.profile = 'published'
    return torch.scope(function() return models.graphmer(changes):parameter_count() end)
  end
  t.equal(count { relations = 12 }, 106659232)
  t.equal(count { relations = 13 }, 106660024)
  t.equal(count { relations = 16 }, 106662400)
  t.equal(count { relations = 12, pos = 'graph' } - 106659232, 786432)
  local d, f, R = 768, 3072, 12
  local layer = models.graphmer { profile = 'published', relations = R, layers = 2, vocab = 10, max_len = 8 }
    :parameter_count() - models.graphmer { profile = 'published', relations = R, layers = 1, vocab = 10, max_len = 8 }
    :parameter_count()
  t.equal(layer, 7087872 + 2 * R)
  t.equal(layer, 4 * (d * d + d) + 2 * d * f + f + d + 4 * d + 2 * R)
end)

t.test('tables of relations that are zero change nothing, bit for bit', function()
  local x = masked(MIXED):get(0)
  for _, dropout in ipairs { 0, 0.3 } do
    local with, without = small { dropout = dropout }, small { dropout = dropout, rel_bias = false }
    t.equal(with:parameter_count() - without:parameter_count(), 2 * 2 * RELATIONS)
    torch.manual_seed(7)
    local a = with(x)
    torch.manual_seed(7)
    t.equal(largest(a - without(x)), 0, dropout)
  end
end)

t.test('the tables get gradients from the first backward on', function()
  local model, x, y = small(), masked(MIXED):get(0)
  objective.new({}).loss(model, x, y):backward()
  local tables = 0
  for _, parameter in ipairs(model:named_parameters()) do
    if parameter.name:find 'relation_bias$' then
      tables = tables + 1
      local grad = parameter.tensor.grad
      t.is_true(largest(grad:select(0, 0)) > 0 and largest(grad:select(0, 1)) > 0, parameter.name)
      t.equal(largest(grad:select(1, 0)), 0, 'no relation has no bias')
    end
  end
  t.equal(tables, 2)
end)

t.test('a table changes what a token sees only where its relation is', function()
  local model = small { layers = 1 }
  local x = masked({ { code = 4, leaves = { 3, 3 } } }, { batch = 1 }):get(0)
  local before = model(x)
  torch.no_grad(function()
    for _, parameter in ipairs(model:named_parameters()) do
      if parameter.name:find 'relation_bias$' then parameter.tensor[{ 0, 2 }]:fill_(3) end
    end
  end)
  local moved = (model(x) - before):abs():amax({ -1 }):flatten():gt(0):tolist()
  local relations = x:select(1, 1):flatten():tolist()
  for at, relation in ipairs(relations) do t.equal(moved[at], relation == 2, at) end
end)

t.test('what stands in the padding changes nothing, and neither does more of it', function()
  for _, pos in ipairs { 'learned', 'graph' } do
    local model = small { pos = pos }
    model:eval()
    local x = masked(MIXED, { batch = 8 }):get(0)
    local kept = x:select(1, 0):ne(SPECIAL.pad)
    local before = model(x):masked_fill(kept:logical_not():unsqueeze(-1), 0)
    local other = x:clone()
    other:select(1, 1):masked_fill_(kept:logical_not(), 2)
    t.equal(largest(model(other):masked_fill(kept:logical_not():unsqueeze(-1), 0) - before), 0, pos)
    local wide = torch.cat({ x, torch.zeros({ 8, 2, 9 }, { dtype = 'int64' }) }, 2)
    t.near(largest(model(wide):narrow(1, 0, x:size(2)):masked_fill(kept:logical_not():unsqueeze(-1), 0) - before), 0,
      1e-5, pos)
  end
end)

t.test('a batch without leaves has no loss of facts and no NaN, and is counted', function()
  local x, y = masked({ { code = 9 }, { code = 12 } }, { batch = 2 }):get(0)
  local own, model = objective.new {}, small()
  local loss, targets, terms = own.loss(model, x, y)
  t.equal(terms.mnm, nil)
  t.equal(terms.constraints, nil)
  t.equal(loss:item(), terms.mlm:item())
  t.is_true(loss:item() == loss:item() and targets > 0)
  t.equal(own.counters, { empty_mlm = 0, empty_mnm = 1 })
  loss:backward()
  for _, parameter in ipairs(model:named_parameters()) do
    local grad = parameter.tensor.grad
    t.is_true(not grad or largest(grad) < math.huge, parameter.name)
  end
  local none = torch.full_like(y, -100)
  local empty, count = own.loss(model, x, none)
  t.equal({ empty:item(), count }, { 0, 0 })
end)

t.test('an untrained head guesses: ln V + 1 / 6', function()
  local V = 2000
  local model = small { vocab = V, d_model = 128 }
  local ids = torch.randint(V - 6, { 8, 40 }, { dtype = 'int64' }) + 6
  local relations = torch.cat({ torch.zeros({ 8, 20 }, { dtype = 'int64' }), torch.ones({ 8, 20 },
    { dtype = 'int64' }) }, 1)
  local y = torch.randint(V, { 8, 40 }, { dtype = 'int64' })
  local _, _, terms = objective.new({}).loss(model, torch.stack({ ids, relations }, 1), y)
  t.near(terms.mlm:item(), math.log(V) + 1 / 6, 0.15)
  t.near(terms.mnm:item(), math.log(V) + 1 / 6, 0.15)
end)

t.test('contrast of states that are all equal is what the numbers of tokens say', function()
  local relations = torch.tensor({ { 0, 1, 1, 1, 2, 2 }, { 3, 0, 2, 2, 2, 0 } }, { dtype = 'int64' })
  local h = torch.ones { 2, 6, 8 }
  local n, expected = 9, 0 -- tokens with a relation: 3 of relation 1, 5 of 2, and one of 3, which has no positive
  for _, same in ipairs { 3, 5 } do expected = expected - same * math.log((same - 1) / (n - 1)) end
  t.near(constraints.parts.alike(h, relations, 0.07, false):item(), expected / 8, 1e-5)
  local clamped = (expected - math.log(1e-6) + 1 / 0.07 + math.log(n - 1)) / 9
  t.near(constraints.parts.alike(h, relations, 0.07, true):item(), clamped, 1e-4)
  t.equal(constraints.parts.alike(h, torch.zeros({ 2, 6 }, { dtype = 'int64' }), 0.07, false), nil)
end)

t.test('a padded batch of eight is eight single samples, weighted by what they masked', function()
  local model, own = small(), objective.new { constraints = false }
  local sums, counts = { mlm = 0, mnm = 0 }, { mlm = 0, mnm = 0 }
  local together, alone = masked(MIXED, { batch = 8 }), masked(MIXED, { batch = 1 })
  torch.no_grad(function()
    for i = 0, 7 do
      local x, y = alone:get(i)
      local _, all, terms = own.loss(model, x, y)
      local facts = y:ne(-100):logical_and(x:select(1, 1):gt(0)):sum():item()
      for name, count in pairs { mlm = all - facts, mnm = facts } do
        sums[name], counts[name] = sums[name] + count * terms[name]:item(), counts[name] + count
      end
    end
    local _, all, terms = own.loss(model, together:get(0))
    t.equal(all, counts.mlm + counts.mnm)
    for name, sum in pairs(sums) do t.near(terms[name]:item(), sum / counts[name], 1e-5, name) end
  end)
end)

-- Samples of equal numbers of tokens and masks, so that a mean of means is the mean of all.
local function even(count)
  local list = {}
  for n = 1, count do list[n] = { code = 8, leaves = { 4, 4 } } end
  return list
end
local EVEN = { text_share = 0, text_least = 3, fact_share = 0, fact_least = 4 }

local function even_masked(count, batch)
  local given = { batch = batch }
  for name, value in pairs(EVEN) do given[name] = value end
  return masked(even(count), given)
end

t.test('four batches of one have the gradients of one batch of four', function()
  local function gradients(batch)
    local model, own, batches = small(), objective.new { constraints = false }, even_masked(4, batch)
    for i = 0, batches:count() - 1 do
      local loss = own.loss(model, batches:get(i))
      ;(loss / batches:count()):backward()
    end
    local found = {}
    for i, parameter in ipairs(model:named_parameters()) do found[i] = parameter.tensor.grad end
    return found, model:named_parameters()
  end
  local small_ones, parameters = gradients(1)
  for i, grad in ipairs(gradients(4)) do
    local apart, size = (grad - small_ones[i]):norm():item(), grad:norm():item()
    t.is_true(apart <= 1e-5 * size, ('%s: %g of %g'):format(parameters[i].name, apart, size))
  end
end)

t.test('twenty micro-steps of accumulation 4 are five updates', function()
  local own, records = objective.new {}, {}
  local fit = train.fit { model = small(), data = data.masked { samples = samples_of(even(20)), train = numbers(20),
    vocab_size = VOCAB, special = SPECIAL, batch = 1 }, loss = own.loss, optim = { name = 'adamw', lr = 1e-3 },
    options = { epochs = 1, accumulate = 4 }, eval = { off = true }, guards = { init_loss = 'off' }, run = false,
    callbacks = { own.callback, { name = 'watch', every = 1, on_step = function(_, record)
      records[#records + 1] = { record.step, record.micro_batches }
    end } } }
  t.equal(records, { { 1, 4 }, { 2, 4 }, { 3, 4 }, { 4, 4 }, { 5, 4 } })
  t.equal(fit.steps, 5)
end)

t.test('a seed draws the same masks and batches, another one others', function()
  local function of(seed) return masked(MIXED, { seed = seed, shuffle = true }) end
  t.equal(of(1):hash(), of(1):hash())
  t.is_true(of(1):hash() ~= of(2):hash())
  local _, a = of(3):get(1)
  local _, b = of(3):get(1)
  t.is_true(torch.equal(a, b))
  local _, first = masked(MIXED, { seed = 1 }):get(0)
  local _, second = masked(MIXED, { seed = 2 }):get(0)
  t.is_false(torch.equal(first, second))
end)

t.test('masks are of code and of leaves, never of marks, and as many as asked for', function()
  local x, y = masked(MIXED, { batch = 8 }):get(0)
  local ids, relations = x:select(1, 0), x:select(1, 1)
  local counted = y:ne(-100)
  t.is_true(torch.equal(counted, ids:eq(SPECIAL.mask)))
  t.is_true(y:masked_select(counted):min():item() > SPECIAL.unk)
  local facts = counted:logical_and(relations:gt(0)):sum(1):tolist()
  local code = counted:logical_and(relations:eq(0)):sum(1):tolist()
  for n, sample in ipairs(MIXED) do
    local all = 0
    for _, size in pairs(sample.leaves) do all = all + size end
    t.is_true(facts[n] >= math.min(8, all), n)
    t.is_true(code[n] >= 1, n)
  end
end)

t.test('data remember what the ids mean, and weights of others are refused', function()
  local function of(sha256)
    return data.masked { samples = samples_of(even(4)), train = numbers(4), vocab_size = VOCAB, special = SPECIAL,
      batch = 2, vocab_sha256 = sha256 }
  end
  local function fit(model, set)
    local own = objective.new {}
    return train.fit { model = model, data = set, loss = own.loss, optim = { name = 'adamw', lr = 1e-3 },
      options = { epochs = 1 }, eval = { off = true }, guards = { init_loss = 'off' }, run = false,
      callbacks = { own.callback } }
  end
  local model = small()
  fit(model, of 'sha256:a')
  t.equal(model:vocabulary(), 'sha256:a')
  t.error_matches(function() fit(model, of 'sha256:b') end,
    "trained with another vocabulary than that of 'data%.masked' %(50 tokens%)")
end)
