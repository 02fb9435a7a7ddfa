local config_tree = require 'config.tree'
local experiment = require 'experiment'
local overrides = require 'config.overrides'
local t = require 'testing'

local function defaults()
  return {
    data = { corpus = 'tiny', path = experiment.optional('string') },
    model = { hidden = 64, rms = true, scale = experiment.number(1), layers = { { hidden = 3 }, { hidden = 4 } } },
    optim = { lr = 2e-3, betas = { 0.9, 0.999 } }, sizes = { 1, 2 }, extra = {},
  }
end

local function apply(...)
  local tree = config_tree.new(defaults(), 'script')
  for i = 1, select('#', ...) do tree:apply(overrides.parse((select(i, ...))), 'cli') end
  return tree.values, tree
end

local function refused(pattern, ...)
  local words = { ... }
  local err = t.error_matches(function() apply(unpack(words)) end, pattern)
  t.equal(require('fail').code_of(err), 3)
end

t.test('path=value sets a key that exists', function()
  local cfg, tree = apply('optim.lr=1e-3', 'model.hidden=128', 'model.rms=false', 'data.corpus=sonnets')
  t.equal(cfg.optim.lr, 1e-3)
  t.equal(cfg.model.hidden, 128)
  t.equal(cfg.model.rms, false)
  t.equal(cfg.data.corpus, 'sonnets')
  t.equal(tree.origin['optim.lr'], 'cli')
  t.equal(tree.origin['optim.betas'], 'script')
end)

t.test('list items are reached by their number', function()
  t.equal(apply('model.layers.2.hidden=9').model.layers, { { hidden = 3 }, { hidden = 9 } })
  t.equal(apply('sizes.1=7').sizes, { 7, 2 })
  t.equal(apply('+sizes.3=7').sizes, { 1, 2, 7 })
  refused("unknown key 'sizes.3'", 'sizes.3=7')
  refused('the next item is number 3', '+sizes.5=7')
end)

t.test('+ adds, ++ sets or adds, ~ removes', function()
  t.equal(apply('+optim.warmup=100').optim.warmup, 100)
  t.equal(apply('+new.section.x=[a,b]').new.section.x, { 'a', 'b' })
  t.equal(apply('+extra.a=1', 'extra.a=2').extra, { a = 2 })
  t.equal(apply('++optim.lr=0.5').optim.lr, 0.5)
  t.equal(apply('++optim.other=0.5').optim.other, 0.5)
  t.equal(apply('~optim.lr').optim, { betas = { 0.9, 0.999 } })
  t.equal(apply('~sizes.1').sizes, { 2 })
  refused("key 'optim.lr' exists; set it with optim.lr=1", '+optim.lr=1')
  refused("unknown key 'optim.x'", '~optim.x')
end)

t.test('values are quoted text, lists and tables', function()
  t.equal(apply("data.corpus='a, b=c'").data.corpus, 'a, b=c')
  t.equal(apply('data.corpus="it\'s"').data.corpus, "it's")
  t.equal(apply("data.corpus=''").data.corpus, '')
  t.equal(apply('optim.betas=[0.5, 0.9]').optim.betas, { 0.5, 0.9 })
  t.equal(apply('sizes=[]').sizes, {})
  t.equal(apply('+t={a=1, b=[x,{c=true}], d="q"}').t, { a = 1, b = { 'x', { c = true } }, d = 'q' })
  t.equal(apply('model.layers=[{hidden=7, name=x}, plain]').model.layers, { { hidden = 7, name = 'x' }, 'plain' })
  t.equal(apply('optim={lr=0.5}').optim, { lr = 0.5, betas = { 0.9, 0.999 } })
end)

t.test('a value must have the type of its default', function()
  refused("key 'model.hidden' must be an int .its default is 64., got 1.5; .*experiment.number", 'model.hidden=1.5')
  refused("must be a boolean", 'model.rms=1')
  refused("must be a number .*got the text '1'", "optim.lr='1'")
  refused("must be a number", 'optim.lr=fast')
  refused("must be a list %(its default is { 1, 2 }%), got 3; a list is written sizes=%[3%]$", 'sizes=3')
  refused("'sizes.2' must be an int", 'sizes=[1,2.5]')
  refused("'optim' must be a table, got 3; its keys are set one by one, such as optim.betas=%.%.%.$", 'optim=3')
  refused("must be a string .*got a list", 'data.corpus=[a]')
  t.equal(apply('data.corpus=123').data.corpus, '123')
  t.equal(apply('model.scale=0.5').model.scale, 0.5)
  t.equal(apply('optim.lr=1').optim.lr, 1)
end)

t.test('nil needs an optional key', function()
  t.equal(apply('data.path=x', 'data.path=nil').data.path, nil)
  refused('cannot be nil', 'optim.lr=nil')
end)

t.test('infinite and undefined numbers are refused', function()
  for _, text in ipairs { 'inf', '-inf', 'nan', 'NaN', 'Infinity', '1e999' } do
    refused('finite', 'optim.lr=' .. text)
    refused('finite', '+fresh=' .. text)
  end
end)

t.test('an unknown key names the nearest one with type and value', function()
  local err = t.error_matches(function() apply('optim.lrate=3') end, 'unknown key')
  t.matches(err, "unknown key 'optim.lrate'; nearest: optim.lr %(number, 0.002%)$")
  refused("unknown key 'optim.lr.x'", 'optim.lr.x=3')
end)

t.test('a sweep axis is refused with a hint', function()
  for _, text in ipairs { 'optim.lr=1,2', 'optim.lr=range(1,5)', 'optim.lr=loguniform(1e-4,1)', 'optim.lr=choice(1,2)',
    'zip(a=[1];b=[2])', 'seeds=3' } do
    refused('asks for several runs', text)
  end
end)

t.test('a list in the brackets of a table is told how it is written', function()
  refused("override 'sizes={3,0}': expected key=value at '3'; a list is written %[3,0%]$", 'sizes={3,0}')
end)

t.test('broken grammar is refused', function()
  for _, text in ipairs { '=3', 'a..b=3', 'a b=3', '.a=3', '1a=3', '~', 'optim.lr=', 'sizes=[1', 'sizes=[1 2]',
    '+t={a}', '+t={a=1,a=2}', "data.corpus='x", 'data.corpus=a b', '+++a=1' } do
    refused('override', text)
  end
end)

t.test('random text never makes anything but a clean error', function()
  local seed = os.time()
  math.randomseed(seed)
  local alphabet = [[ab.=+~[]{}(),'"; 1e-]]
  for _ = 1, 5000 do
    local chars = {}
    for i = 1, math.random(1, 14) do
      local at = math.random(#alphabet)
      chars[i] = alphabet:sub(at, at)
    end
    local text = table.concat(chars)
    local ok, err = pcall(apply, text)
    t.is_true(ok or require('fail').is(err), ("seed %d, override '%s': %s"):format(seed, text, tostring(err)))
  end
end)
