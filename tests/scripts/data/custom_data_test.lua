-- data.custom: batches that a Lua function makes.
local data = require 'data'
local runs = require 'testing.runs'
local t = require 'testing'
local torch = require 'torch'

local function pair(rows) return torch.ones { rows, 3 }, torch.ones { rows, 1 } end

t.test('batches come from the function, by index from 0', function()
  local asked = {}
  local set = data.custom { count = 3, rows = 2, get = function(i, epoch)
    asked[#asked + 1] = { i, epoch }
    return torch.full({ 2, 3 }, i), torch.zeros { 2, 1 }
  end }
  t.equal(set.kind, 'custom')
  t.equal(set.train:count(), 3)
  t.equal(set.train:rows(), 2)
  t.equal(set.train:targets(), 2)
  t.equal(set.val, nil)
  local x, y = set.train:get(2)
  t.equal(x:sum():item(), 12)
  t.equal(y:size(0), 2)
  t.equal(asked, { { 2, 1 } })
  t.equal(data.custom { count = 3, rows = 2, targets = 200, get = pair }.train:targets(), 200)
end)

t.test('a function called from a coroutine may call others', function()
  local set = data.custom { count = 1, rows = 2, get = function()
    return coroutine.wrap(function() return pair(2) end)()
  end }
  local x
  coroutine.wrap(function() x = set.train:get(0) end)()
  collectgarbage()
  t.equal(x:size(0), 2)
end)

t.test('a value that is not a batch is told with its index', function()
  local function get(f) return data.custom { count = 1, rows = 2, get = f }.train:get(0) end
  t.error_matches(function() get(function() return 3 end) end,
    'data.custom: get must return two tensors, x and y; x is number 3')
  t.error_matches(function() get(function() return (pair(2)) end) end, 'y is nil')
  t.error_matches(function() get(function() return pair(2), (pair(4)) end) end,
    'data.custom: get%(0%) must return x and y of the same number of rows, got {2, 3} and {4, 3}')
  t.error_matches(function() get(function() error 'no disk' end) end, 'custom_data_test.lua:%d+: no disk')
  t.equal(require('fail').code_of(t.error_matches(function() get(function() end) end, 'x is nil')), 4)
end)

t.test('options are checked', function()
  t.error_matches(function() data.custom { count = 0, rows = 2, get = pair } end,
    "data.custom: option 'count' must be at least 1, got 0")
  t.error_matches(function() data.custom { count = 1, rows = 2, get = pair, valid = {} } end,
    "unknown option 'valid'; nearest: val")
  t.error_matches(function() data.custom { count = 1, rows = 2, get = pair, val = { count = 1, rows = 2 } } end,
    "data.custom val: option 'get' %(function%) is required")
end)

local SCRIPT = [[
local experiment, data, train = require 'experiment', require 'data', require 'train'
local torch, nn = require 'torch', require 'nn'
local cfg = experiment.config { train = { epochs = 3, seed = 1 }, optim = { lr = 1e-2 } }
local x, seen = torch.randn { 8, 3 }, {}
local function get(i, epoch)
  seen[epoch] = (seen[epoch] or 0) + 1
  BODY
  return x, x:sum { dim = 1, keepdim = true }
end
local set = data.custom { count = 20, rows = 8, get = get, val = { count = 2, rows = 8, get = get } }
local f = train.fit { model = nn.Linear { 3, 1 }, data = set, options = cfg.train, optim = cfg.optim,
  loss = function(m, a, b) return torch.mse_loss(m(a), b) end }
print(f.state, f.steps, f.best.val_loss ~= nil, seen[2], seen[3])
]]

t.test('a training takes them, tells that they are unmanaged, and says the epoch', function()
  local ran = runs.run((SCRIPT:gsub('BODY', '')))
  t.equal(ran.code, 0, ran.output)
  t.equal(#ran.lines.train, 60)
  t.equal(#ran.lines.eval, 3)
  t.contains(ran.output, 'unmanaged data')
  t.contains(ran.output, 'FINISHED\t60\ttrue\t20\t20\n')
end)

t.test('an error of the function ends the training like any other', function()
  local ran = runs.run((SCRIPT:gsub('BODY', 'if i == 7 and epoch == 2 then error "no disk" end')))
  t.equal(ran.code, 1, ran.output)
  t.equal(ran.exit.step, 27)
  t.matches(ran.output, 'error: .*run%d+%.lua:7: no disk')
end)

t.test('batches of val are checked as those of train are', function()
  t.error_matches(function()
    data.custom { count = 1, rows = 2, get = pair, val = { count = 0, rows = 2, get = pair } }
  end, "data.custom val: option 'count'")
end)

t.test('data that a script puts together train, whatever else is in their table', function()
  local ran = runs.run [[
local data, train, torch, nn = require 'data', require 'train', require 'torch', require 'nn'
local made = data.custom { count = 3, rows = 2, get = function() return torch.ones { 2, 3 }, torch.ones { 2, 1 } end }
local mine = setmetatable({ train = made.train, lines = 3, records = 'none', colour = 'red' },
  { __index = { note = 'from its metatable', decode = function() return 'some text' end } })
train.fit { model = nn.Linear { 3, 1 }, data = mine, loss = function(m, x, y) return torch.mse_loss(m(x), y) end,
  options = { epochs = 1 }, eval = { off = true }, callbacks = { 'sample_text', { on_end = function(ctx)
    print(ctx.data.colour, ctx.data.note, ctx.data.lines == mine.lines)
  end } } }]]
  t.equal(ran.code, 0, ran.output)
  t.contains(ran.output, 'red\tfrom its metatable\tfalse')
  ran = runs.run [[
local data, train, torch, nn = require 'data', require 'train', require 'torch', require 'nn'
local made = data.custom { count = 3, rows = 2, get = function() return torch.ones { 2, 3 }, torch.ones { 2, 1 } end }
train.fit { model = nn.Linear { 3, 1 }, data = { train = made.train }, options = { epochs = 1 }, eval = { off = true },
  loss = function(m, x, y) return torch.mse_loss(m(x), y) end, callbacks = { 'sample_text' } }]]
  t.equal(ran.code, 0, ran.output)
  t.contains(ran.output, 'data.custom has no text to begin with; give sample_text a prompt')
end)
