-- Texts as they come: line ends of other systems, byte order marks, other encodings, NUL bytes.
local data = require 'data'
local fail = require 'fail'
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'

local TEXT = texts.words(2000)
local number = 0

local function write(text)
  number = number + 1
  return runs.write(('text%d.txt'):format(number), text)
end

local function open(text, newlines)
  return data.text { file = write(text), batch = 2, seq = 20, stride = 20, newlines = newlines }
end

local function count(text, pattern)
  return select(2, text:gsub(pattern, ''))
end

local function with(ending)
  return (TEXT:gsub('\n', ending))
end

local function refused(text, pattern, newlines)
  t.equal(fail.code_of(t.error_matches(function() open(text, newlines) end, pattern)), 4)
end

t.test('carriage returns are refused with their number and both choices', function()
  local lines = count(TEXT, '\n')
  refused(with '\r\n', ("text%%d+.txt': '/.*/text%%d+.txt': %d lines end with CR LF; data.newlines=lf converts each "
    .. 'to LF, data.newlines=keep trains on the carriage returns$'):format(lines))
  refused(with '\r', ('%d lines end with CR alone; data.newlines=lf'):format(lines))
  refused(TEXT .. 'a\rb\r\n', '1 line ends with CR LF and 1 with CR alone; data.newlines=lf')
end)

t.test('newlines=lf makes the text that LF would have, newlines=keep the characters that are there', function()
  local plain = open(TEXT)
  for _, ending in ipairs { '\r\n', '\r' } do
    local text = open(with(ending), 'lf')
    t.fields(text, { length = plain.length, vocab_size = plain.vocab_size })
    t.equal(text:decode(text.train:get(0)[1]), plain:decode(plain.train:get(0)[1]))
    local kept = open(with(ending), 'keep')
    t.fields(kept, { length = #with(ending), vocab_size = plain.vocab_size + (ending == '\r' and 0 or 1) })
    t.equal(kept:decode(kept:encode '\r'), '\r')
  end
  t.equal(fail.code_of(t.error_matches(function() open(TEXT, 'crlf') end, "newlines.*keep")), 3)
end)

t.test('several texts ask the same', function()
  local path = write(with '\r\n')
  local function domains(more)
    local given = { texts = { path }, batch = 2, seq = 8, allow_leak = true }
    for key, value in pairs(more) do given[key] = value end
    return data.domains(given)
  end
  t.equal(fail.code_of(t.error_matches(function() domains {} end,
    'lines end with CR LF; domains.newlines=lf converts each to LF, domains.newlines=keep')), 4)
  t.equal(domains({ newlines = 'lf' }).vocab_size + 1, domains({ newlines = 'keep' }).vocab_size)
  t.equal(domains({ words = 20 }).vocab_size, 20, 'words end at any white space')
end)

t.test('text that is not UTF-8 is named', function()
  refused((TEXT:gsub('.', function(c) return c .. '\0' end)),
    'the text is UTF%-16LE, expected UTF%-8 %(2000 of its first 4000 bytes')
end)

t.test('a NUL byte is refused with its place', function()
  refused(TEXT:sub(1, 100) .. '\0' .. TEXT, 'the text holds 1 NUL byte, the first at byte 100')
end)

t.test('a byte order mark and a text without any line end are told', function()
  local function noted(text)
    local script = ("require('data').text { file = %q, batch = 2, seq = 20, stride = 20 }"):format(write(text))
    return (t.runner('-e', script))
  end
  t.contains(noted('\239\187\191' .. TEXT), 'begins with a byte order mark, which is left out')
  t.contains(noted((TEXT:gsub('\n', ' '))), 'is a single line without a line end')
  t.equal(noted(TEXT), '')
  t.equal(open('\239\187\191' .. TEXT).length, #TEXT)
end)

t.test('a run is told how to go on, and goes on so', function()
  local script = ([[
local experiment, data = require 'experiment', require 'data'
local cfg = experiment.config { data = { file = %q, batch = 2, seq = 20, stride = 20 } }
print(data.text(cfg.data).length)]]):format(write(with '\r\n'))
  local ran = runs.run(script)
  t.equal(ran.code, 4, ran.output)
  t.contains(ran.output, 'lines end with CR LF; data.newlines=lf converts each to LF')
  ran = runs.run(script, 'data.newlines=lf')
  t.equal(ran.code, 0, ran.output)
  t.contains(ran.output, 'lines end with CR LF, read as LF')
  t.contains(ran.output, '\n' .. #TEXT .. '\n')
  t.equal(runs.run(script, 'data.newlines=cr').code, 3)
end)

t.test('a sample with carriage returns shows them', function()
  local ran = runs.run(([[
local experiment, data, models, train = require 'experiment', require 'data', require 'models', require 'train'
local cfg = experiment.config { train = { epochs = 1, seed = 1, max_steps = 2 }, optim = { lr = 1e-2 } }
local text = data.text { file = %q, batch = 2, seq = 20, stride = 20, newlines = 'keep' }
local net = models.char_rnn { vocab = text.vocab_size, embed = 8, hidden = 8, layers = 1 }
train.fit { model = net, data = text, optim = cfg.optim, options = cfg.train,
  callbacks = { { 'sample_text', prompt = 'a\r\n' } } }]])
    :format(write(with '\r\n')), 'guards.no_learning=off', 'guards.init_loss=off')
  t.equal(ran.code, 0, ran.output)
  t.equal(ran.output:find('\r', 1, true), nil)
  t.is_true((ran.output:find('sample\na\\r\n', 1, true) or ran.output:find('sample\na␍\n', 1, true)) ~= nil, ran.output)
  t.equal(ran.lines.sample[1].prompt, 'a\r\n')
end)

t.test('a file that is not there is told with the one that may have been meant', function()
  local path = write(TEXT)
  local err = t.error_matches(function() data.text { file = (path:gsub('text(%d+)%.txt$', 'tetx%1.txt')) } end,
    "data.file '/%S+' does not exist; nearest: " .. path:gsub('%.', '%%.') .. '$')
  t.equal(fail.code_of(err), 4)
  t.error_matches(function() data.text { file = 'none.txt' } end,
    "data.file 'none.txt' does not exist; paths are relative to the working folder '/")
  t.error_matches(function() data.text { file = runs.root } end, 'is a folder, expected a text file')
end)
