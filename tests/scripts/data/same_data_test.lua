-- What joins two runs, or a run and a text, knows whether they had the same data and the same vocabulary.
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'

local TEXT = texts.animals(300, '\n')
local OTHER = TEXT:sub(1, 200) .. TEXT:sub(201):reverse()

local SCRIPT = [[
-- %s: a small training
local experiment, data, models, train = require 'experiment', require 'data', require 'models', require 'train'
local cfg = experiment.config { train = { epochs = 1, seed = 3 }, optim = { lr = 1e-3 },
  data = { file = '%s/text.txt', batch = 8, seq = 18, stride = 18, allow_leak = true } }
local text = data.text(cfg.data)
local net = models.char_rnn { vocab = text.vocab_size, cell = 'gru', embed = 4, hidden = 4, layers = 1 }
train.fit { model = net, data = text, options = cfg.train, optim = cfg.optim }]]

local function script(name)
  return runs.write(name .. '.lua', SCRIPT:format(name, runs.root))
end

local function train(path, ...)
  local output, code = runs.command(path, '-q', ...)
  t.equal(code, 0, output)
end

t.test('compare refuses runs of one configuration whose texts differ', function()
  local path = script 'one_arm'
  runs.write('text.txt', TEXT)
  train(path, 'train.seed=1')
  train(path, 'train.seed=2')
  local output, code = runs.command('compare', 'one_arm')
  t.equal(code, 0, output)
  t.is_false(output:find 'data', output)
  runs.write('text.txt', OTHER)
  train(path, 'train.seed=3')
  output, code = runs.command('compare', 'one_arm')
  t.equal(code, 4, output)
  t.matches(output, "the data of 'one_arm/%S+' are not those of 'one_arm/%S+': 'text.txt' is sha256:%x+ %(%d+ bytes%)")
  t.contains(output, '--allow-mixed')
  output, code = runs.command('compare', 'one_arm', '--allow-mixed')
  t.equal(code, 0, output)
  t.matches(output, "marked: arm 'one_arm' has different data: 'one_arm/%S+': 'text.txt' is")
end)

t.test('compare refuses arms whose texts differ, unless a key of the data says so', function()
  local path = script 'two_arms'
  runs.write('text.txt', TEXT)
  train(path, 'optim.lr=0.001')
  runs.write('text.txt', OTHER)
  train(path, 'optim.lr=0.002')
  local output, code = runs.command('compare', 'two_arms')
  t.equal(code, 4, output)
  output, code = runs.command('compare', 'two_arms', '--allow-mixed')
  t.equal(code, 0, output)
  t.matches(output, "marked: the data of arm 'optim.lr=0.002' are not those of arm 'optim.lr=0.001': 'text.txt' is")

  path = script 'by_data'
  train(path)
  runs.write('longer.txt', OTHER .. TEXT)
  train(path, ('data.file=%s/longer.txt'):format(runs.root))
  output, code = runs.command('compare', 'by_data')
  t.equal(code, 0, output)
  t.matches(output, "marked: the data of arm 'data.file=%S+' are not those of arm 'data.file=%S+': 'text.txt' is")
  runs.write('text.txt', TEXT)
end)

t.test('a text that changes while a script runs is told', function()
  local path = runs.write('changing.lua', ([[
local data = require 'data'
local options = { file = '%s/changing.txt', batch = 8, seq = 18, stride = 18 }
local function write(text) local file = io.open(options.file, 'w') file:write(text) file:close() end
write(('one two three '):rep(200) .. '\n') data.text(options) data.text(options)
print 'the same'
write(('two one three '):rep(200) .. '\n') data.text(options)]]):format(runs.root))
  local output, code = runs.command(path)
  t.equal(code, 0, output)
  t.matches(output, "the same\nwarning: '%S+/changing.txt' has changed since this script opened it")
  t.equal(select(2, output:gsub('warning:', '')), 1)
end)

-- A script that loads weights into a model of the same sizes and trains it on a text, or lets it go on with one.
local LOADING = [[
local experiment, data, models, train = require 'experiment', require 'data', require 'models', require 'train'
local cfg = experiment.config { train = { epochs = 1, seed = 3 },
  data = { file = '%s/%s', batch = 8, seq = 18, stride = 18, allow_leak = true } }
local text = data.text(cfg.data)
local net = models.char_rnn { vocab = text.vocab_size, cell = 'gru', embed = 4, hidden = 4, layers = 1 }
net:load('%s')
if '%s' == 'fit' then train.fit { model = net, data = text, options = cfg.train, run = false }
else print(#train.generate(net, text, { prompt = text:decode(require('torch').arange(2)), length = 5 })) end]]

t.test('weights that were trained with another vocabulary of the same size are refused', function()
  local path = script 'trained'
  runs.write('text.txt', TEXT)
  train(path)
  runs.write('upper.txt', TEXT:upper())
  local folder = runs.root .. '/results/trained/latest'
  local function load(text, file, what, ...)
    return runs.command(runs.write('loading.lua', LOADING:format(runs.root, text, folder .. '/' .. file, what)), ...)
  end
  for _, file in ipairs { 'model.safetensors', 'checkpoints/best/model.safetensors' } do
    local output, code = load('text.txt', file, 'fit')
    t.equal(code, 0, output)
    output, code = load('upper.txt', file, 'fit')
    t.equal(code, 4, output)
    t.contains(output, "trained with another vocabulary than that of 'upper.txt'")
    t.contains(output, 'train.allow_vocabulary=true')
    output, code = load('upper.txt', file, 'fit', 'train.allow_vocabulary=true')
    t.equal(code, 0, output)
    output, code = load('text.txt', file, 'generate')
    t.equal(output, '5\n')
    t.equal(code, 0, output)
    t.equal(select(2, load('upper.txt', file, 'generate')), 4)
  end
end)

t.test('save and load keep the vocabulary of weights, values from anywhere have none', function()
  local nn = require 'nn'
  local path, net = runs.root .. '/w.safetensors', nn.Linear { 2, 1 }
  t.equal(net:vocabulary(), nil)
  t.equal(net:vocabulary 'sha256:1', 'sha256:1')
  net:save(path)
  local other = nn.Linear { 2, 1 }
  t.equal(other:load(path):vocabulary(), 'sha256:1')
  other:load_state_dict(net:state_dict())
  t.equal(other:vocabulary(), nil)
end)
