-- runner doctor about a script: its seed (G08) and its gradients (G30).
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'

local TEXT = runs.write('letters.txt', texts.letters(1800))

local SCRIPT = [[
local experiment, data, models, train = require 'experiment', require 'data', require 'models', require 'train'
local torch = require 'torch'
local cfg = experiment.config { data = { file = %q, batch = 4, seq = 8, stride = 8 }, train = { epochs = 1, seed = 1 } }
local text = data.text(cfg.data)
%s
local net = models.char_rnn { vocab = text.vocab_size, embed = 8, hidden = 8, layers = 1 }
train.fit { model = net, data = text, options = cfg.train, loss = %s }]]

local number = 0

local function doctor(option, before, loss)
  number = number + 1
  local script = runs.write(('seeded%d.lua'):format(number), SCRIPT:format(TEXT, before or '', loss or 'nil'))
  return t.runner('doctor', option, script)
end

t.test('guard G08: a script whose seed decides everything passes', function()
  local output, code = doctor '--seeds'
  t.equal(code, 0, output)
  t.matches(output, 'ok%s+seeds%s+different seeds give different results, the same seed the same')
end)

t.test('guard G08: a constant seed fails', function()
  local output, code = doctor('--seeds', 'torch.manual_seed(5)')
  t.equal(code, 8, output)
  t.matches(output, 'G08 seed: seeds 1 and 2 give equal first batches and equal%s+weights')
end)

t.test('guard G08: a seed from the process or the clock fails', function()
  local output, code = doctor('--seeds', "torch.manual_seed(require('host').pid())")
  t.equal(code, 8, output)
  t.matches(output, 'G08 seed: seed 1 gives different initial weights in two%s+starts')
end)

t.test('guard G08: a script that cannot be seeded, or that fails, says so', function()
  local output, code = t.runner('doctor', '--seeds', runs.write('unseeded.lua', 'print "no config"'))
  t.equal(code, 3, output)
  t.contains(output, 'doctor --seeds: a start with seed 1 ended with exit code 3')
  t.equal(select(2, t.runner('doctor', '--seeds', '/no/such.lua')), 2)
  t.equal(select(2, t.runner('doctor', 'optim.lr=1')), 2)
end)

t.test('guard G30: gradients agree with finite differences in float64', function()
  local output, code = doctor '--gradcheck'
  t.equal(code, 0, output)
  t.matches(output, 'ok%s+rnn.weight_hh_l0%s+element %d+%s+gradient')
  t.contains(output, 'the gradients of 7 parameters agree with finite differences')
end)

t.test('guard G30: a gradient that differs from finite differences of the loss is found', function()
  local output, code = doctor('--gradcheck', nil, [[function(m, x, y)
  local logits = m(x)
  local detached = net.head.weight:detach()
  local task = torch.cross_entropy(logits:reshape { -1, logits:size(-1) }, y:reshape { -1 })
  return task + 0.1 * (detached * detached):sum()
end]])
  t.equal(code, 6, output)
  t.matches(output, 'FAIL%s+head.weight')
  t.contains(output, 'G30 dead_parameter: the gradient of head.weight differs from finite differences of the loss')
end)
