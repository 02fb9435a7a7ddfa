-- Models that see what they predict, and targets shifted twice (guard G45).
local causality = require 'guards.causality'
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'
local torch = require 'torch'

local TEXT = runs.write('letters.txt', texts.mat(60))

local HEAD = ([[
local experiment, data, train = require 'experiment', require 'data', require 'train'
local model, models, nn, torch = require 'model', require 'models', require 'nn', require 'torch'
local cfg = experiment.config {
  data = { file = %q, batch = 4, seq = 8, stride = 8, allow_leak = true },
  model = { causal = true }, optim = { lr = 1e-2 },
  train = { max_steps = 2, seed = 1 },
}
local text = data.text(cfg.data)
local function mixed(mix)
  return model.define { args = { vocab = 'int' },
    build = function(a) return { embed = nn.Embedding { a.vocab, 8 }, head = nn.Linear { 8, a.vocab } } end,
    forward = function(m, ids) return m.head(mix(m.embed(ids))) end } { vocab = text.vocab_size }
end
-- Batches of ids and the ids `shift` positions later.
local function shifted(shift, more)
  local ids = torch.randint(text.vocab_size, { 16, 12 })
  local parts = { count = 4, rows = 4, targets = 32, vocab_size = text.vocab_size, get = function(i)
    local rows = ids:narrow(0, 4 * i, 4)
    return rows:narrow(1, 0, 8):clone(), rows:narrow(1, shift, 8):clone()
  end }
  for key, value in pairs(more or {}) do parts[key] = value end
  return data.custom(parts)
end
local function fit(net, set)
  return train.fit { model = net, data = set or text, optim = cfg.optim, options = cfg.train }
end
]]):format(TEXT)

local function run(body, ...)
  return runs.run(HEAD .. body, ...)
end

local function event_of(ran)
  for _, event in ipairs(ran.lines.guard) do
    if event.id == 'G45' then return event end
  end
  return nil
end

local FLIP = 'fit(mixed(function(e) return e + e:flip { 1 } end))'

t.test('guard G45: a model that mixes in the future stops before the first update', function()
  local said = 'G45 leak: changing the tokens after position %d changes the logits up to it by %S+ of their size, '
    .. 'expected at most 1e%-05'
  for _, mix in ipairs { 'e + e:flip { 1 }', 'e + e:mean({ 1 }, true)', 'e + torch.roll(e, { -1 }, { 1 })' } do
    local ran = run(('fit(mixed(function(e) return %s end))'):format(mix))
    t.equal(ran.code, 6, ran.output)
    t.equal(ran.folder, nil)
    t.matches(ran.output, said)
    t.contains(ran.output, 'to accept: model.causal=false in the config, or guards.leak=off')
  end
end)

t.test('guard G45: models that look back alone pass, recurrent ones too', function()
  t.equal(run("fit(mixed(function(e) return e + torch.roll(e, { 1 }, { 1 }):cumsum(1) * 0 end))").code, 0)
  for _, cell in ipairs { 'gru', 'lstm' } do
    local body = [[
fit(models.char_rnn { vocab = text.vocab_size, embed = 8, hidden = 16, layers = 2, dropout = 0.5, cell = '%s' })]]
    t.equal(run(body:format(cell)).code, 0)
  end
end)

t.test('guard G45: model.causal=false accepts a model that looks ahead, and leaves its mark', function()
  local ran = run(FLIP, 'model.causal=false')
  t.equal(ran.code, 0, ran.output)
  t.equal(event_of(ran).level, 'off')
  t.contains(event_of(ran).message, 'switched off by model.causal=false')
  ran = run(FLIP, 'guards.leak=warn')
  t.equal(ran.code, 0, ran.output)
  t.equal(event_of(ran).level, 'warn')
  t.equal(run(FLIP, 'guards.leak=off').code, 0)
end)

t.test('guard G45: targets that are shifted twice stop, and data.shift declares another shift', function()
  local ran = run 'fit(mixed(function(e) return e end), shifted(2))'
  t.equal(ran.code, 4, ran.output)
  t.equal(ran.folder, nil)
  t.contains(ran.output, 'G45 leak: targets are the inputs shifted by 2, expected a shift by 1; '
    .. 'were they shifted twice, in the data and in the model or its loss? to accept: data.shift=2')
  t.equal(run('fit(mixed(function(e) return e end), shifted(2))', 'data.shift=2').code, 0)
  t.equal(run('fit(mixed(function(e) return e end), shifted(2, { shift = 2 }))').code, 0)
  ran = run 'fit(mixed(function(e) return e end), shifted(1, { shift = 2 }))'
  t.equal(ran.code, 4, ran.output)
  t.contains(ran.output, 'targets are the inputs shifted by 1, expected a shift by 2')
  ran = run 'fit(mixed(function(e) return e + e:flip { 1 } end), shifted(1))'
  t.equal(ran.code, 6, ran.output)
end)

t.test('guard G45: data that is not a shifted text and declares nothing is not asked', function()
  local ids, labels = torch.randint(9, { 2, 8 }), torch.randint(9, { 2, 8 })
  t.equal(causality.shift(ids, labels, nil), nil)
  t.equal(causality.shift(ids, ids, nil), nil)
  t.equal({ causality.shift(ids, ids, 0) }, { 0 })
  local _, problem = causality.shift(ids, labels, 1)
  t.contains(problem, 'targets are no shift of the inputs, expected a shift by 1')
end)

t.test('guard G45: masked targets do not count in the shift', function()
  local ids = torch.arange(18):view { 2, 9 }
  local y = ids:narrow(1, 1, 8):clone()
  y[{ {}, { 0, 3 } }] = -100
  t.equal(causality.shift(ids:narrow(1, 0, 8), y, 1), 1)
  t.equal(causality.shift(ids:narrow(1, 0, 8), y:clone():fill_(-100), nil), nil)
end)

t.test('guard G45: the check draws no random number of the training and leaves the mode as it was', function()
  local experiments = {}
  for i, level in ipairs { 'error', 'off' } do
    local ran = run([[
local net = models.char_rnn { vocab = text.vocab_size, embed = 8, hidden = 16, layers = 2, dropout = 0.5 }
local draws = mixed(function(e) return e + torch.randn { 1 } * 0 * math.random() end)
net:train()
require('guards.causality').check({ guards = { leak = cfg.guards.leak }, data = text, model = draws }, {})
fit(net)
print('DRAWN', torch.rand { 1 }:item(), math.random(), net.training)]], 'guards.leak=' .. level, 'guards.init_loss=off')
    experiments[i] = { ran.code, ran.output:match 'DRAWN[^\n]*', ran.lines.train[1].loss, ran.lines.train[2].loss }
  end
  t.equal(experiments[1], experiments[2])
  t.equal(experiments[1][1], 0)
end)
