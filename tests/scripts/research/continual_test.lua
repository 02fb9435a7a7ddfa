-- What helps a model to keep earlier texts: replay and elastic weight consolidation.
local continual = require 'research.continual'
local data = require 'data'
local nn = require 'nn'
local runs = require 'testing.runs'
local t = require 'testing'
local torch = require 'torch'

runs.write('ab.txt', ('abba '):rep(200))
runs.write('xy.txt', ('xyxxyy '):rep(200))

local function open()
  return data.domains {
    texts = { runs.root .. '/ab.txt', runs.root .. '/xy.txt' }, batch = 4, seq = 6, batches = 10, seed = 1 }
end

-- How many rows of a batch of text come from the first domain.
local function old_rows(text, x)
  local found = 0
  for row = 0, x:size(0) - 1 do
    if text:decode(x[row]):find '[ab]' then found = found + 1 end
  end
  return found
end

t.test('replay leaves the first phase alone and gives half of each later batch to earlier ones', function()
  local text = open()
  local mixed = continual.replay(text, 3)
  t.equal(mixed.train:count(), 20)
  t.equal(mixed.train:rows(), 4)
  t.equal(mixed.train:targets(), 24)
  for b = 0, 19 do
    local x, y = mixed.train:get(b)
    local plain = text.train:get(b)
    t.equal(old_rows(text, x), b < 10 and 4 or 2, b)
    t.equal(torch.equal(x, plain), b < 10, b)
    t.is_true(torch.equal(x:narrow(0, 0, 2), plain:narrow(0, 0, 2)), b)
    t.is_true(torch.equal(x:narrow(1, 1, 5), y:narrow(1, 0, 5)), b)
  end
end)

t.test('what is replayed depends on the seed alone', function()
  local text = open()
  local function all(seed)
    local batches = {}
    for b = 10, 19 do batches[#batches + 1] = (continual.replay(text, seed).train:get(b)) end
    return torch.cat(batches)
  end
  t.is_true(torch.equal(all(3), all(3)))
  t.equal(torch.equal(all(3), all(4)), false)
end)

t.test('replayed batches follow the epochs of their text and know the domain of their phase', function()
  local text = open()
  local mixed, plain = continual.replay(text, 3), open()
  for epoch = 1, 2 do
    for _, b in ipairs { 3, 15 } do
      local x, _, domain = mixed.train:get(b, epoch)
      t.equal(domain, b < 10 and 1 or 2)
      t.is_true(torch.equal(x:narrow(0, 0, 2), (plain.train:get(b, epoch)):narrow(0, 0, 2)), b)
    end
  end
  local first, second = plain.train:get(3, 1), plain.train:get(3, 2)
  t.equal(torch.equal(first, second), false)
  t.error_matches(function() plain.train:get(3, 0) end, 'epochs count from 1, got 0')
end)

t.test('consolidation costs nothing where the phase ended and strength / 2 F d^2 away from there', function()
  torch.manual_seed(5)
  local text = open()
  local net = nn.Sequential { nn.Embedding { text.vocab_size, 8 }, nn.Linear { 8, text.vocab_size } }
  local ewc = continual.ewc { strength = 100, batches = 3 }
  local x, y = text.train:get(15)
  local plain = ewc.loss(net, x, y):item()
  local ctx = { model = net, data = text }
  local function step(record) torch.scope(function() ewc.callback.on_step(ctx, record) end) end -- as in a training
  step { batch = 9, micro_batches = 1 }
  t.equal(select('#', ewc.loss(net, x, y)), 1)
  step { batch = 12, micro_batches = 3 } -- the phase ended within this update
  local loss, _, terms = ewc.loss(net, x, y)
  t.near(loss:item(), plain, 1e-6)
  t.equal(terms.ewc:item(), 0)
  torch.no_grad(function()
    for _, parameter in ipairs(net:named_parameters()) do parameter.tensor:add_(0.1) end
  end)
  local _, _, near = ewc.loss(net, x, y)
  torch.no_grad(function()
    for _, parameter in ipairs(net:named_parameters()) do parameter.tensor:add_(0.1) end
  end)
  local far, _, apart = ewc.loss(net, x, y)
  t.is_true(near.ewc:item() > 0)
  t.near(apart.ewc:item() / near.ewc:item(), 4, 1e-3)
  t.near(far:item(), apart.task:item() + apart.ewc:item(), 1e-5)
  net:eval()
  t.equal(select('#', ewc.loss(net, x, y)), 1)
end)

t.test('a phase ends in the update that its last batch is in', function()
  local phases = { { end_batch = 10 }, { end_batch = 20 } }
  t.equal(continual.ended(phases, { batch = 9, micro_batches = 1 }), nil)
  t.equal(continual.ended(phases, { batch = 10, micro_batches = 1 }), 1)
  t.equal(continual.ended(phases, { batch = 11, micro_batches = 1 }), nil)
  t.equal(continual.ended(phases, { batch = 12, micro_batches = 4 }), 1)
  t.equal(continual.ended(phases, { batch = 20, micro_batches = 4 }), 2)
end)
