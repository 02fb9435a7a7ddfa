-- The cells of a plan: their order, their ids and what a sweep script says.
local axes = require 'sweep.planning.axes'
local cell_config = require 'sweep.planning.cell_config'
local config_tree = require 'config.tree'
local expand = require 'sweep.planning.expand'
local fail = require 'fail'
local sweep = require 'sweep'
local t = require 'testing'

local function tree()
  return config_tree.new({ optim = { lr = 0.1, name = 'adam' }, model = { width = 8, sizes = { 1, 2 } },
    train = { seed = 1 } }, 'script')
end

local function cells(...)
  local parsed = axes.parse { ... }
  local found = expand.cells { axes = parsed.axes, seeds = parsed.seeds, first_seed = 5, trials = 2, sampler = 'random',
    sampler_seed = 0 }
  for i, settings in ipairs(found) do found[i] = table.concat(settings, ' ') end
  return found
end

t.test('axes go in the order written, the last one fastest, seeds innermost', function()
  t.equal(cells('optim.lr=1,2', 'model.width=3,4', 'seeds=2'), {
    'optim.lr=1 model.width=3 train.seed=5', 'optim.lr=1 model.width=3 train.seed=6',
    'optim.lr=1 model.width=4 train.seed=5', 'optim.lr=1 model.width=4 train.seed=6',
    'optim.lr=2 model.width=3 train.seed=5', 'optim.lr=2 model.width=3 train.seed=6',
    'optim.lr=2 model.width=4 train.seed=5', 'optim.lr=2 model.width=4 train.seed=6' })
  t.equal(cells 'zip(optim.lr=1,2;model.width=3,4)', { 'optim.lr=1 model.width=3', 'optim.lr=2 model.width=4' })
  t.equal(#cells('optim.lr=1,2', 'model.width=int(1,1000)', 'seeds=3'), 12)
end)

t.test('an id names the config: how it was written does not matter, any other value does', function()
  local configs = cell_config.new(tree())
  local function id(...) return (select(2, configs:apply { ... })) end
  t.matches(id 'optim.lr=0.5', '^%x%x%x%x%x%x%x%x%x%x%x%x$')
  t.equal(id 'optim.lr=0.5', id 'optim.lr=5e-1')
  t.equal(id('optim.lr=0.5', 'model.width=4'), id('model.width=4', 'optim.lr=0.5'))
  t.equal(id(), id 'optim.lr=0.1')
  t.equal(id 'model.sizes.1=7', id 'model.sizes=[7,2]')
  local seen = {}
  for _, text in ipairs { 'optim.lr=0.5', 'optim.lr=0.25', 'optim.name=sgd', 'model.sizes=[1,2,3]', '+model.extra=1',
    '~optim.name', 'train.seed=2' } do
    t.is_true(not seen[id(text)], text)
    seen[id(text)] = true
  end
end)

t.test('the config of a cell does not change that of another', function()
  local configs = cell_config.new(tree())
  local values = configs:apply { 'optim.lr=0.5', 'model.sizes.1=9', '+model.extra=1' }
  t.equal({ values.optim.lr, values.model.sizes[1], values.model.extra }, { 0.5, 9, 1 })
  local other = configs:apply { 'train.seed=3' }
  t.equal({ other.optim.lr, other.model.sizes[1], other.model.extra }, { 0.1, 1, nil })
end)

t.test('a sweep script says the same as words of the command line', function()
  local made = sweep { script = 'a.lua', seeds = 3, params = { 'zip(a=1,2;b=3,4)', ['optim.lr'] = { 0.1, 1e-3 },
    ['model.kind'] = { 'gru', 'a b', "it's" }, ['model.sizes'] = { { 1, 2 }, {} }, ['train.epochs'] = 5,
    ['optim.decay'] = sweep.loguniform(1e-4, 1e-2), ['a.on'] = { true, false } } }
  t.equal(made.words, { 'zip(a=1,2;b=3,4)', 'a.on=true,false', "model.kind=gru,'a b',\"it's\"", 'model.sizes=[1,2],[]',
    'optim.decay=loguniform(0.0001,0.01)', 'optim.lr=0.1,0.001', 'train.epochs=5', 'seeds=3' })
  t.equal(sweep.zip { b = { 3, 4 }, a = { 1, 2 } }, 'zip(a=1,2;b=3,4)')
  t.is_true(sweep.is(made) and not sweep.is {} and not sweep.is(nil))
end)

t.test('what a sweep script gets wrong is told', function()
  local function refused(pattern, given)
    t.equal(fail.code_of(t.error_matches(function() sweep(given) end, pattern)), 3, pattern)
  end
  refused('script', { params = {} })
  refused("unknown option 'parms'; nearest: params", { script = 'a', parms = {} })
  refused("params%['optim.lr'%] is empty", { script = 'a', params = { ['optim.lr'] = {} } })
  refused('params%[1%] must be a text', { script = 'a', params = { { 1 } } })
  t.error_matches(function() return sweep.grid end, 'grid')
end)
