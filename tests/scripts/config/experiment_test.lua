local config_reads = require 'config.reads'
local experiment = require 'experiment'
local t = require 'testing'

local function configure(defaults, words, flags)
  experiment.setup { script = '/tmp/some_name.lua', overrides = words, flags = flags }
  return experiment.config(defaults)
end

t.test('the effective config is plain tables', function()
  local cfg = configure({ a = { b = 1, c = experiment.optional('int'), d = experiment.number(2) } }, { 'a.b=5' })
  t.equal(cfg, { a = { b = 5, d = 2 } })
  t.equal(getmetatable(cfg.a), nil)
end)

t.test('current tells name, values and origin', function()
  configure({ a = { b = 1 }, c = 'x' }, { 'a.b=5' })
  local current = experiment.current()
  t.equal(current.name, 'some_name')
  t.equal(current.values, { a = { b = 5 }, c = 'x' })
  t.equal(current.origin, { ['a.b'] = 'cli', c = 'script' })
  t.is_true(current.configured)
end)

t.test('current works when config was never called', function()
  experiment.setup { script = 'x.lua', overrides = { 'a=1' } }
  t.equal(experiment.current().values, {})
  t.equal(experiment.unread_keys()[1].path, 'a=1')
  t.error_matches(experiment.check_reads, "'a=1' was not used: the script never called experiment.config")
end)

t.test('cells come before the command line', function()
  experiment.setup { script = 'x.lua', cell = { 'a=2', 'b=2' }, overrides = { 'b=3' } }
  t.equal(experiment.config { a = 1, b = 1, c = 1 }, { a = 2, b = 3, c = 1 })
  t.equal(experiment.current().origin, { a = 'cell', b = 'cli', c = 'script' })
end)

t.test('short options set train keys that exist', function()
  local short = { { option = '--seed', path = 'train.seed', value = '7' } }
  t.equal(configure({ train = { seed = 1 } }, {}, { short = short }).train.seed, 7)
  t.error_matches(function() configure({ a = 1 }, {}, { short = short }) end,
    "^%-%-seed sets 'train.seed', which the config of this script does not have$")
end)

t.test('bad defaults are named by their path', function()
  t.error_matches(function() configure({ a = { b = print } }) end, "'a.b' is a function")
  t.error_matches(function() configure({ a = { b = 0 / 0 } }) end, "'a.b' is nan; numbers must be finite")
  t.error_matches(function() configure({ a = { ['b-c'] = 1 } }) end, "'a.b%-c' is not an identifier")
  t.error_matches(function() configure({ a = { 1, 2, x = 3 } }) end, "'a' mixes a list")
  t.error_matches(function() configure({ a = experiment.int(1.5) }) end, "'a' is declared int, its default is 1.5")
  t.error_matches(function() configure(3) end, 'table of defaults')
end)

t.test('names that cannot be a folder are refused', function()
  for _, name in ipairs { 'Upper', 'latest', 'sweep-x', '-x', 'a b', ('x'):rep(65) } do
    t.is_false(experiment.valid_name(name), name)
    experiment.setup { script = name .. '.lua' }
    t.error_matches(function() experiment.config {} end, 'experiment name')
  end
  t.is_true(experiment.valid_name('shakespeare_30ep'))
end)

t.test('config is called once', function()
  configure({ a = 1 })
  t.error_matches(function() experiment.config { a = 1 } end, 'called twice')
end)

t.test('defaults filled in by the library have their own origin', function()
  local cfg = configure({ mine = { steps = 1 } })
  experiment.record_default('mine.every', 10)
  experiment.record_default('mine.steps', 99)
  t.equal(cfg.mine, { steps = 1, every = 10 })
  t.equal(experiment.current().origin['mine.every'], 'default')
end)

t.test('an option that is one of several texts or unset can be set from the command line', function()
  t.equal(configure({ data = { file = 'x' } }, {}).data.newlines, nil)
  t.equal(configure({ data = { file = 'x' } }, { 'data.newlines=lf' }).data.newlines, 'lf')
end)

t.test('an option of fractions or words takes them where the script gives a whole number', function()
  local cfg = configure({ data = { split = 1 }, train = { max_time = 3600, expect_loss = 4 } },
    { 'data.split=0.5', 'train.max_time=2h', 'train.expect_loss=4.5' })
  t.equal({ cfg.data.split, cfg.train.max_time, cfg.train.expect_loss }, { 0.5, '2h', 4.5 })
end)

t.test('a train section brings the options of the library, which the command line can set', function()
  local cfg = configure({ train = { epochs = 3 } }, { 'eval.off=true', 'train.max_steps=5', 'guards.init_loss=off' })
  t.fields(cfg.train, { epochs = 3, max_steps = 5, seed = 42 })
  t.equal(cfg.eval.off, true)
  t.equal(experiment.current().origin['train.seed'], 'default')
  t.equal(experiment.current().origin['eval.off'], 'cli')
  experiment.check_reads() -- the library reads eval and guards itself
end)

local function reads(source, path)
  return config_reads.is_read(config_reads.scan { { text = source } }, path)
end

local HEAD = "local cfg = experiment.config { model = { hidden = 1, rmsnorm = true }, optim = { lr = 1 }, top = 3 }\n"

t.test('a key counts as read when it is indexed', function()
  t.is_true(reads(HEAD .. 'print(cfg.model.hidden)', 'model.hidden'))
  t.is_true(reads(HEAD .. "print(cfg['model']['hidden'])", 'model.hidden'))
  t.is_true(reads(HEAD .. 'print(cfg.top)', 'top'))
  t.is_false(reads(HEAD .. 'print(cfg.model.hidden)', 'model.rmsnorm'))
  t.is_false(reads(HEAD .. 'print(cfg.model.hidden)', 'optim.lr'))
  t.is_false(reads(HEAD .. '-- cfg.model.rmsnorm\n--[[ cfg.top ]]', 'top'))
end)

t.test('a section that is passed on counts as read', function()
  t.is_true(reads(HEAD .. 'local m = cfg.model', 'model.rmsnorm'))
  t.is_true(reads(HEAD .. 'build(cfg.model, 1)', 'model.rmsnorm'))
  t.is_true(reads(HEAD .. 'print(cfg.model[name])', 'model.rmsnorm'))
  t.is_true(reads(HEAD .. 'build(cfg)', 'model.rmsnorm'))
  t.is_true(reads(HEAD .. 'for k, v in pairs(cfg) do end', 'top'))
  t.is_true(reads(HEAD .. 'M.cfg = cfg', 'top'))
end)

t.test('reads in the arguments of another config function count', function()
  t.is_true(reads(HEAD .. 'net.config { hidden = cfg.model.hidden }', 'model.hidden'))
end)

t.test('a config that no variable holds counts as read', function()
  t.is_true(reads("return experiment.config { a = { b = 1 } }", 'a.b'))
  t.is_true(reads("use(experiment.config { a = { b = 1 } })", 'a.b'))
end)
