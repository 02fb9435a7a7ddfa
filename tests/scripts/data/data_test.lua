-- Texts: how many batches each layout gives, where a corpus comes from, and files of one's own.
local data = require 'data'
local experiment = require 'experiment'
local fail = require 'fail'
local t = require 'testing'
local texts = require 'testing.texts'
local torch = require 'torch'

local function own(text, options)
  local given = { file = t.write_file(text, '.txt'), batch = 2, seq = 4, stride = 4, split = 0.5 }
  for key, value in pairs(options or {}) do given[key] = value end
  return data.text(given)
end

local ALPHABET = ('abcdefghijklmnopqrstuvwxyz'):rep(8) -- 208 characters

t.test('a text as long as tiny Shakespeare has the published numbers', function()
  local file = t.write_file(texts.words(1115394), '.txt')
  local text = data.text { file = file, batch = 64, seq = 100, stride = 100, drop_last = true }
  t.fields(text, { name = file:match '[^/]*$', length = 1115394 })
  t.equal(text.train:count(), 156)
  t.equal(text.val:count(), 17)
  t.equal(text.train:rows(), 64)
  t.equal(text.train:targets(), 6400)
  t.equal(text.sha256, (t.shell('sha256sum ' .. file):match '^%x+'))
  t.equal(data.text({ file = file, split = 0.5, layout = 'streams' }).train:count(), 86)
end)

t.test('targets are the inputs one character later, in order', function()
  local text = own(ALPHABET)
  local x, y = text.train:get(0)
  t.equal(text:decode(x:view(-1)), 'abcdefgh')
  t.equal(text:decode(y:view(-1)), 'bcdefghi')
  t.equal(text:decode((text.train:get(1)):view(-1)), 'ijklmnop')
  t.equal(x.dtype, 'int64')
  t.equal(tostring(x.shape), '{2, 4}')
  t.error_matches(function() text.train:get(99) end, 'batch 99 does not exist; there are %d+, from 0')
end)

t.test('layouts count their batches by the formulas', function()
  local S, B, stride, length = 4, 2, 3, 104 -- half of the alphabet text
  local function count(options) return own(ALPHABET, options).train:count() end
  local rows = math.ceil((length - S - 1) / stride)
  t.equal(count { stride = stride }, math.ceil(rows / B))
  t.equal(count { stride = stride, drop_last = true }, math.floor(rows / B))
  t.equal(count { layout = 'streams' }, math.floor(length / (B * S)) - 1)
  local n = math.floor(length / S) * S
  t.equal(count { layout = 'overlap' }, math.floor((n - S) / B))
  t.equal(count { stride = 1 }, math.floor((n - S) / B))
end)

t.test('streams run on from batch to batch', function()
  local text = own(ALPHABET, { layout = 'streams' })
  local first, second = text.train:get(0), text.train:get(1)
  t.equal(text:decode(first[0]), 'abcd')
  t.equal(text:decode(second[0]), 'efgh')
end)

t.test('encode and decode are inverse, over UTF-8 characters', function()
  local text = own(('für das Größte, ☾ und ☀\n'):rep(9))
  t.equal(text:decode(text:encode 'Größte ☾'), 'Größte ☾')
  t.error_matches(function() text:encode 'Q' end,
    "character 'Q' %(U%+0051%) is not in the vocabulary of %d+ characters")
end)

t.test('the first characters alone can be taken', function()
  local text = own(ALPHABET .. 'XYZ', { chars = 52 })
  t.fields(text, { length = 52, vocab_size = 26 })
  t.error_matches(function() own('abc', { chars = 52 }) end, 'chars=52, but it has only 3')
end)

t.test('a shuffled text holds every row once and depends on the seed only', function()
  local function rows(seed)
    experiment.setup { script = '/tmp/data_probe.lua' }
    experiment.config { train = { seed = seed } }
    local text, found = own(ALPHABET, { shuffle = true }), {}
    for i = 0, text.train:count() - 1 do found[#found + 1] = text:decode((text.train:get(i)):view(-1)) end
    return table.concat(found, ' ')
  end
  t.equal(rows(1), rows(1))
  t.is_false(rows(1) == rows(2))
end)

local function refused(code, pattern, text, options)
  local err = t.error_matches(function() own(text, options) end, pattern)
  t.equal(fail.code_of(err), code)
end

t.test('texts that cannot be used are data errors', function()
  refused(4, 'train: 8 characters make 1 row .*, fewer than one batch of 2 x 5', ALPHABET:sub(1, 16))
  refused(4, 'is empty', '')
  refused(4, 'UTF%-8', 'abc\255' .. ALPHABET)
  refused(4, 'val: 0 characters .* or eval.off=true', ALPHABET, { split = 1 })
end)

t.test('guard G22: an empty val split needs eval.off', function()
  experiment.setup { script = '/tmp/data_probe.lua', overrides = { 'eval.off=true' } }
  experiment.config { train = { seed = 1 } }
  local text = own(ALPHABET, { split = 1 })
  t.equal(text.val:count(), 0)
  experiment.setup { script = '/tmp/data_probe.lua' }
end)

t.test('options that make no sense are config errors', function()
  refused(3, "unknown option 'sequence'", ALPHABET, { sequence = 3 })
  refused(3, 'batch, seq and stride must be at least 1', ALPHABET, { batch = 0 })
  refused(3, 'split must be in %(0, 1%], got 1.5', ALPHABET, { split = 1.5 })
  refused(3, "'rwos'; nearest: rows", ALPHABET, { layout = 'rwos' })
  refused(3, "'streams' cannot be shuffled", ALPHABET, { layout = 'streams', shuffle = true })
end)

t.test('a file that is missing is exit 4', function()
  local output, code = t.runner('-e', "require('data').text { file = '/nowhere/x.txt' }")
  t.contains(output, "'/nowhere/x.txt'")
  t.equal(code, 4, output)
  t.matches(t.runner('-e', "require('data').text { corpus = 'tinyshakespear' }"), 'not known; nearest: tinyshakespeare')
end)

t.test('rows of two tensors make batches', function()
  local both = data.tensors { x = torch.arange(10):view(5, 2), y = torch.arange(5), batch = 2 }
  t.equal(both.train:count(), 3)
  t.equal(both.train:rows(), 2)
  t.equal(both.val, nil)
  t.equal((both.train:get(2)):tolist(), { { 8, 9 } })
  local x, y = both.train:get(1)
  t.equal(x:tolist(), { { 4, 5 }, { 6, 7 } })
  t.equal(y:tolist(), { 2, 3 })
  t.equal(data.tensors({ x = torch.ones { 5, 2 }, y = torch.ones { 5 } }).train:rows(), 5)
  t.error_matches(function() data.tensors { x = torch.ones { 5 }, y = torch.ones { 4 } } end, '5.*4')
end)
