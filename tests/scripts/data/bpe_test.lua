-- Byte-pair encodings: trained on a text, read by data.text, and what is told of tokens and characters.
local data = require 'data'
local files = require 'files'
local host = require 'host'
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'

local TEXT = t.write_file(texts.words(20000) .. ' café ☃\n', '.txt')
local FOLDER = t.temporary_folder() .. '/bpe'

t.test('an encoding is trained once, in the files of GPT-2, and gives every text back', function()
  t.equal(data.train_bpe { file = TEXT, vocab = 300, folder = FOLDER }, FOLDER)
  local made = host.stat(FOLDER .. '/vocab.json')
  t.matches(files.read(FOLDER .. '/merges.txt'), '^#version: 0.2\n')
  t.equal(#host.listdir(FOLDER), 2)
  data.train_bpe { file = TEXT, vocab = 300, folder = FOLDER }
  t.equal(host.stat(FOLDER .. '/vocab.json').mtime, made.mtime)
  local text = data.text { file = TEXT, bpe = FOLDER, batch = 2, seq = 8, stride = 8 }
  t.is_true(text.vocab_size > 290 and text.vocab_size <= 300, text.vocab_size)
  t.is_true(text.length < 0.85 * text.characters, text.length)
  t.equal(text:decode(text.ids), files.read(TEXT))
  for _, words in ipairs { 'something new, with ☃ and \1', '', '  two  spaces ' } do
    t.equal(text:decode(text:encode(words)), words)
  end
  t.is_true(text:characters_per_token() > 1.2)
  t.is_true(text:vocab_sha256() ~= data.text({ file = TEXT, batch = 2, seq = 8, stride = 8 }):vocab_sha256())
end)

t.test('a training on tokens tells nats a character, and draws text', function()
  local ran = runs.run(([[
local data, experiment, models, train = require 'data', require 'experiment', require 'models', require 'train'
local cfg = experiment.config { data = { file = %q, bpe = %q, batch = 4, seq = 8, stride = 8, allow_leak = true },
  train = { epochs = 1, max_steps = 5, seed = 1 } }
local text = data.text(cfg.data)
local net = models.transformer_lm { vocab = text.vocab_size, max_len = 8, d_model = 8, heads = 2, ff = 8, layers = 1 }
train.fit { model = net, data = text, options = cfg.train, callbacks = { 'sample_text' } }
print('drawn', #train.generate(net, text, { prompt = 'a', length = 3 }) > 0)]]):format(TEXT, FOLDER))
  t.equal(ran.code, 0, ran.output)
  t.matches(ran.output, '[%d,]+ tokens of %d%.%d%d characters, vocabulary')
  t.matches(ran.output, '\n +%d+%.%d+ nats a token of %d%.%d%d characters are %d+%.%d+ a character\n')
  t.contains(ran.output, 'drawn\ttrue')
end)

t.test('what does not fit is told', function()
  local function refused(words, options)
    local o = { file = TEXT, batch = 2, seq = 8, stride = 8 }
    for key, value in pairs(options) do o[key] = value end
    t.error_matches(function() data.text(o) end, words)
  end
  refused('/nowhere/vocab.json.*cannot read', { bpe = '/nowhere' })
  refused('bos_eos is for characters', { bpe = FOLDER, bos_eos = true })
  t.error_matches(function() data.train_bpe { file = TEXT, vocab = 200, folder = FOLDER .. '2' } end,
    'vocab must be above 257')
  local other = t.temporary_folder()
  files.write(other .. '/vocab.json', files.read(FOLDER .. '/vocab.json'))
  files.write(other .. '/merges.txt', 'zzz q\n')
  refused("merge 1, 'zzz q', needs the token 'zzz', which vocab.json does not have", { bpe = other })
end)
