-- T-Score where dimension 0 of a layer is not the sample but as long, and where samples have unequal numbers of
-- valid targets.
local nn = require 'nn'
local runs = require 'testing.runs'
local t = require 'testing'
local torch = require 'torch'
local tscore = require 'tscore'

-- Token and position embeddings added up, on B rows of T tokens; `join` gives the sum.
local function embedded(B, T, join)
  torch.manual_seed(1)
  local net = nn.Container 'Embedded'
  net.tok, net.pos, net.head = nn.Embedding { 7, 4 }, nn.Embedding { 9, 4 }, nn.Linear { 4, 7 }
  net.scale = nn.Parameter(torch.ones { 4 })
  net.forward = function(m, ids) return m.head(join(m, m.tok(ids), T)) end
  local ids = torch.randint(7, { B, T }, { dtype = 'int64' })
  return net, ids
end

local function exact(net, ids)
  return tscore.measure(net, function()
    return torch.cross_entropy_loss(net(ids):reshape { -1, 7 }, ids:reshape { -1 })
  end)
end

local function positions(T) return torch.arange(T) end

t.test('what layers made is not spread over the samples unseen, whatever the sizes', function()
  local joins = {
    function(m, x, T) return x + m.pos(positions(T)) end,
    function(m, x, T) return torch.add(m.pos(positions(T)):unsqueeze(0), x) end,
    function(m, x, T) return x + m.pos(positions(T)):unsqueeze(0):expand { x:size(0), T, 4 } end,
    function(m, x, T) return x * m.pos(positions(T)):expand_as(x) end,
    function(m, x, T) return x + m.scale * torch.ones { T, 4 } end,
    function(_, x) return x - x:mean({ 0 }, true) end,
  }
  for i, join in ipairs(joins) do
    local net, ids = embedded(5, 5, join)
    local ok, err = pcall(exact, net, ids)
    t.equal(ok, false, i)
    t.contains(tostring(err), 'spreads a tensor that layers made over dimension 0')
    t.contains(tostring(err), "tscore.mode='loop'")
  end
end)

t.test('the same positions for every row, as layers or as rows of their own, are right', function()
  for _, join in ipairs {
    function(m, x, T) return x + m.pos(positions(T):unsqueeze(0):expand { x:size(0), T }) end,
    function(m, x) return x * m.scale end,
  } do
    local net, ids = embedded(5, 5, join)
    local loop = tscore.loop(net, 5, function(i)
      local one = ids[{ { i, i + 1 } }]
      return torch.cross_entropy_loss(net(one):reshape { -1, 7 }, one:reshape { -1 })
    end)
    t.near(exact(net, ids).t, loop.t, 1e-5)
  end
end)

t.test('negative numbers of rows count from the end', function()
  torch.manual_seed(2)
  local net = nn.Container 'Rows'
  net.table = nn.Parameter(torch.randn { 6, 3 })
  local ids = torch.tensor({ -1, 5, 0, -6 }, { dtype = 'int64' })
  net.forward = function(m, i) return m.table:index { i } end
  local direction = torch.randn { 4, 3 }
  local measured = tscore.measure(net, function() return (net(ids) * direction):sum() end, { reduction = 'sum' })
  local loop = tscore.loop(net, 4, function(i)
    local one = { { i, i + 1 } }
    return (net(ids[one]) * direction[one]):sum()
  end)
  t.near(measured.t, loop.t, 1e-6)
end)

t.test('a measurement leaves what a script keeps in a buffer, and the data, as they were', function()
  local net = nn.Container 'Keeps'
  net.line, net.last = nn.Linear { 2, 1 }, nn.Buffer(torch.zeros { 4, 2 })
  local x = torch.randn { 4, 2 }
  local before = x:clone()
  net.forward = function(m, input)
    if input:size(0) == 4 then m.last = input end
    return m.line(input)
  end
  tscore.loop(net, 1, function() return net(x):sum() end)
  t.is_true(torch.equal(x, before))
  t.is_true(torch.equal(net.last, torch.zeros { 4, 2 }))
end)

t.test('exact and loop weigh samples by their targets, masked rows and rows without any included', function()
  local script = [[
local experiment, data, train = require 'experiment', require 'data', require 'train'
local nn, torch = require 'nn', require 'torch'
local cfg = experiment.config { train = { epochs = 1, seed = 4 }, optim = { lr = 1e-3 }, tscore = { every = 1 } }
local x = torch.randint(7, { 6, 5 }, { dtype = 'int64' })
local y = (x + torch.arange(6):view { 6, 1 }):remainder(7)
y[{ 0, {1, 5} }], y[{ 1, {3, 5} }], y[{ 4 }] = -100, -100, -100
local net = nn.Sequential { nn.Embedding { 7, 4 }, nn.Linear { 4, 7 } }
local f = train.fit { model = net, optim = cfg.optim, options = cfg.train, tscore = cfg.tscore,
  data = data.tensors { x = x, y = y, batch = 6 } }
print('T', ('%.7f'):format(f.tscore.mean))]]
  local values = {}
  for i, mode in ipairs { 'exact', 'loop' } do
    local ran = runs.run(script, 'tscore.mode=' .. mode)
    t.equal(ran.code, 0, ran.output)
    values[i] = tonumber(ran.output:match 'T\t(%S+)')
  end
  t.near(values[1], values[2], 1e-5)
end)
