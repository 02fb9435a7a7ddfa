-- The callback sample_text: what it goes on from, and how what it prints looks.
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'

local HEAD = [[
local experiment, data, models, train = require 'experiment', require 'data', require 'models', require 'train'
local torch, nn = require 'torch', require 'nn'
local cfg = experiment.config { train = { epochs = 1, seed = 1, max_steps = 2 }, optim = { lr = 1e-2 } }
local function fit(text, callback)
  local net = models.char_rnn { vocab = text.vocab_size, embed = 8, hidden = 8, layers = 1 }
  train.fit { model = net, data = text, optim = cfg.optim, options = cfg.train,
    callbacks = { callback or 'sample_text' } }
end
]]

-- The prompt and the drawn text of a training on a text, and what was printed.
local function sampled(text, open)
  local file = runs.write('text.txt', text)
  open = open or "data.text { file = '%s', batch = 2, seq = 30, stride = 30 }"
  local ran = runs.run(HEAD .. ('fit(%s)'):format(open):format(file), 'guards.no_learning=off', 'guards.init_loss=off')
  t.equal(ran.code, 0, ran.output)
  local event = ran.lines.sample[1]
  t.is_true(event ~= nil, ran.output)
  return event.prompt, event.text, ran.output
end

t.test('without a prompt it goes on from the beginning of a line of the val split', function()
  local text = texts.words(3000)
  local prompt, drawn, output = sampled(text)
  t.is_true(#prompt >= 1 and #prompt <= 24, prompt)
  local at = text:find('\n' .. prompt, 1, true)
  t.is_true(at ~= nil and at >= 2700, prompt)
  t.matches(text:sub(at + #prompt + 1, at + #prompt + 1), '%s') -- no word is cut
  t.equal(#drawn, 200)
  t.contains(output, 'sample\n' .. prompt)
end)

t.test('a short line is a prompt with its end', function()
  local prompt = sampled(('HAMLET:\nHe speaks.\n\n'):rep(100),
    "data.text { file = '%s', batch = 2, seq = 40, stride = 40, allow_leak = true }")
  t.is_true(prompt == 'HAMLET:\n' or prompt == 'He speaks.\n', prompt)
end)

t.test('a text of one line without an end is gone on from where val begins', function()
  local text = texts.words(3000):gsub('\n', ' ')
  local prompt = sampled(text)
  t.equal(text:find(prompt, 2700, true), 2701)
end)

t.test('characters of several bytes are not cut', function()
  local prompt = sampled(('— Größe äußert sich überschwänglich und süß, dünkt mich.\n'):rep(60),
    "data.text { file = '%s', batch = 1, seq = 100, stride = 100, allow_leak = true }")
  t.equal(prompt, '— Größe äußert sich')
end)

t.test('words of several texts begin with words', function()
  local prompt, _, output = sampled(texts.words(9000),
    "data.domains { texts = { '%s' }, words = 50, batch = 2, seq = 8, allow_leak = true }")
  t.matches(prompt, '^%S+ %S+')
  t.contains(output, 'sample\n' .. prompt .. ' ')
end)

t.test('what no sample can have is refused before the training', function()
  local script = [[
local data, nn, torch, train = require 'data', require 'nn', require 'torch', require 'train'
train.fit { model = nn.Linear { 1, 1 }, data = data.tensors { x = torch.zeros { 2, 1 }, y = torch.zeros { 2, 1 } },
  loss = 'mse', callbacks = { { 'sample_text', %s } } }]]
  for option, message in pairs { ['length = 0'] = "'length' must be at least 1, got 0",
    ['top_k = -1'] = "'top_k' must be at least 0, got -1",
    ['temperature = -1'] = "'temperature' must be at least 0, got -1" } do
    local ran = runs.run(script:format(option))
    t.equal(ran.code, 3, ran.output)
    t.contains(ran.output, 'callback sample_text: option ' .. message)
  end
end)

t.test('data without text is told, and the run ends well', function()
  local ran = runs.run(HEAD .. [[
local x = torch.randint(9, { 8, 5 })
local text = data.tensors { x = x, y = x, batch = 4, vocab_size = 9 }
fit(text)]], 'guards.no_learning=off', 'guards.init_loss=off', 'guards.leak=off')
  t.equal(ran.code, 0, ran.output)
  t.contains(ran.output, 'sample failed: data.tensors has no text to begin with; give sample_text a prompt')
end)
