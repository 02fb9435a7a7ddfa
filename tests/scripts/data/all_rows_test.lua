-- Every row of the data counts, in training and eval, and losses are means over targets, whatever the batches are.
local host = require 'host'
local runs = require 'testing.runs'
local t = require 'testing'
local torch = require 'torch'

-- A linear model of 2 inputs on 10 rows; `masked` rows have no target.
local HEAD = [[
local experiment, data, train = require 'experiment', require 'data', require 'train'
local nn, torch = require 'nn', require 'torch'
local cfg = experiment.config {
  train = { epochs = 1, seed = 1, allow_dead = { '.*' } }, optim = { name = 'sgd', lr = 0 } }
local x = torch.randn { 10, 2 }
local y = torch.tensor({ 0, 1, 0, 1, 1, 0, 1, 0, 0, 1 }, { dtype = 'int64' })
local net = nn.Sequential { nn.Linear { 2, 2 } }
local function loss(m, a, b) return torch.cross_entropy_loss(m(a), b) end
local function fit(given)
  given.model, given.optim, given.options = net, cfg.optim, cfg.train
  given.loss = given.loss or loss
  return train.fit(given)
end
]]

local function run(body, ...)
  local ran = runs.run(HEAD .. body, ...)
  return ran, ran.output
end

t.test('the last rows of val count, and the last rows of train are trained on', function()
  local ran, output = run [[
local vy = y:clone()
local f = fit { data = data.tensors { x = x, y = y, batch = 4, val_x = x[{ {0, 7} }], val_y = vy[{ {0, 7} }] } }
print('val', f.best.val_loss, loss(net, x[{ {0, 7} }], vy[{ {0, 7} }]):item())
print('train', f.best.train_loss, loss(net, x, y):item())
print('counts', f.steps, f.samples)]]
  t.equal(ran.code, 0, output)
  local a, b = output:match 'val\t(%S+)\t(%S+)'
  t.near(tonumber(a), tonumber(b), 1e-6)
  a, b = output:match 'train\t(%S+)\t(%S+)'
  t.near(tonumber(a), tonumber(b), 1e-6)
  t.contains(output, 'counts\t3\t10')
  t.contains(output, '3 batches of 4 rows, the last of 2, 10 rows in all   val 2 batches')
  t.contains(output, '1 epoch x 3 batches, 3 updates, 10 targets')
  t.contains(output, 'samples/s')
end)

t.test('drop_last leaves them out and says so', function()
  local ran, output = run [[
local f = fit { data = data.tensors { x = x, y = y, batch = 4, drop_last = true } }
print('counts', f.steps, f.samples)]]
  t.equal(ran.code, 0, output)
  t.contains(output, 'counts\t2\t8')
  t.contains(output, '2 rows of train do not fill a batch and are left out (drop_last)')
end)

t.test('masked rows weigh nothing: the mean is over targets', function()
  local ran, output = run [[
y[{ {2, 7} }] = -100
local f = fit { data = data.tensors { x = x, y = y, batch = 4, val_x = x, val_y = y } }
print('losses', f.best.train_loss, f.best.val_loss, loss(net, x, y):item())
print('targets', f.tokens)]]
  t.equal(ran.code, 0, output)
  local train_loss, val_loss, all = output:match 'losses\t(%S+)\t(%S+)\t(%S+)'
  t.near(tonumber(train_loss), tonumber(all), 1e-6)
  t.near(tonumber(val_loss), tonumber(all), 1e-6)
  t.contains(output, 'targets\t5')
  t.contains(output, '3 updates, 5 targets')
end)

t.test('a batch without a target never makes a NaN: in train, eval, with accumulation and T-Score', function()
  for _, words in ipairs { {}, { 'train.accumulate=2' }, { 'train.accumulate=3' } } do
    local ran, output = run([[
y[{ {4, 8} }] = -100
local f = fit { data = data.tensors { x = x, y = y, batch = 4, val_x = x, val_y = y }, tscore = { every = 1 } }
print('losses', f.best.train_loss, f.best.val_loss, loss(net, x, y):item(), f.empty_batches)]], unpack(words))
    t.equal(ran.code, 0, output)
    local train_loss, val_loss, all, empty = output:match 'losses\t(%S+)\t(%S+)\t(%S+)\t(%S+)'
    t.near(tonumber(train_loss), tonumber(all), 1e-6)
    t.near(tonumber(val_loss), tonumber(all), 1e-6)
    t.equal(empty, '1')
    t.contains(output, 'has no target; nothing is learnt from such batches')
    t.contains(output, '1 batch had no targets, so nothing was learnt from them')
  end
end)

t.test('an update, an epoch or a val split without any target is an error that says so', function()
  local ran, output = run [[
fit { data = data.tensors { x = x, y = y, batch = 4 },
  loss = function(m, a, b) return torch.cross_entropy_loss(m(a), b), 0 end }]]
  t.equal(ran.code, 4, output)
  t.contains(output, 'G21 batch_shape: the first update has no target')
  ran, output = run([[
local epoch = 1
local count = { on_epoch = function() epoch = epoch + 1 end }
fit { data = data.tensors { x = x, y = y, batch = 4 }, callbacks = { count }, loss = function(m, a, b)
  return torch.cross_entropy_loss(m(a), b), epoch == 1 and b:numel() or 0
end }]], 'train.epochs=2')
  t.equal(ran.code, 4, output)
  t.contains(output, 'epoch 2: none of its 3 batches has a target')
  ran, output = run [[
fit { data = data.tensors { x = x, y = y, batch = 4, val_x = x, val_y = torch.full_like(y, -100) } }]]
  t.equal(ran.code, 4, output)
  t.contains(output, 'val: none of the 3 batches has a target')
end)

t.test('texts and windows count all of val too', function()
  local path = t.write_file(('the cat sat on the mat 0123456789 and went away again. '):rep(40), '.txt')
  local data = require 'data'
  local text = data.text { file = path, batch = 32, seq = 20, stride = 20, allow_leak = true }
  local rows = math.ceil((text.length - math.floor(0.9 * text.length) - 21) / 20)
  t.equal(text.val:count(), math.ceil(rows / 32))
  t.equal(text.val:samples(), rows)
  t.equal(text.val:left_out(), 0)
  local dropped = data.text { file = path, batch = 4, seq = 20, stride = 20, drop_last = true }
  t.equal(dropped.val:count(), math.floor(rows / 4))
  t.equal(dropped.val:left_out(), rows % 4)
  local domains = data.domains { texts = { path }, batch = 16, seq = 20, order = 'epoch', allow_leak = true }
  t.equal(domains.train:samples(), math.floor((math.floor(0.9 * text.length) - 21) / 10) + 1)
  local whole = data.domains {
    texts = { path }, batch = 16, seq = 20, order = 'epoch', drop_last = true, allow_leak = true }
  t.equal(whole.train:samples() + whole.train:left_out(), domains.train:samples())
  t.equal(whole.train:samples() % 16, 0)
end)

t.test('a shuffled epoch has every row once, in an order of its own', function()
  local data = require 'data'
  local rows = torch.arange(10)
  local made = data.tensors { x = rows, y = rows, batch = 4, shuffle = true, seed = 3 }
  local function epoch(number)
    local seen = {}
    for i = 0, made.train:count() - 1 do
      for _, value in ipairs((made.train:get(i, number)):tolist()) do seen[#seen + 1] = value end
    end
    return seen
  end
  local first, second = epoch(1), epoch(2)
  t.equal(epoch(1), first)
  t.is_true(table.concat(first, ' ') ~= table.concat(second, ' '))
  table.sort(first)
  t.equal(first, { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 })
end)

t.test('run = false leaves no directory and gives the same numbers', function()
  local ran, output = run [[
local first = fit { data = data.tensors { x = x, y = y, batch = 4 } }
local second = fit { data = data.tensors { x = x, y = y, batch = 4 }, run = false }
print('same', first.best.train_loss == second.best.train_loss, first.run ~= nil, second.run)]]
  t.equal(ran.code, 0, output)
  t.contains(output, 'same\ttrue\ttrue\tnil')
  t.equal(#(host.listdir(ran.folder:gsub('/latest$', '')) or {}), 2) -- the first one, and latest
  local refused = run [[
local asks = { on_start = function(context) context.run:path() end }
fit { data = data.tensors { x = x, y = y, batch = 4 }, run = false, callbacks = { asks } }]]
  t.equal(refused.code, 3)
  t.contains(refused.output, 'this training has no run directory: train.fit{ run = false }')
end)
