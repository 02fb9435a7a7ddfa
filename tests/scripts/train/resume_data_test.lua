-- A resumed run has the data that it began with, all of them and not the first batch alone.
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'

local TEXT = texts.animals(300, '\n')

local HEAD = [[
local experiment, data, models, train = require 'experiment', require 'data', require 'models', require 'train'
local cfg = experiment.config { train = { epochs = 1, seed = 3 },
  data = { file = '%s/text.txt', batch = 8, seq = 18, stride = 18, allow_leak = true } }
local text = data.text(cfg.data)
local net = models.char_rnn { vocab = text.vocab_size, cell = 'gru', embed = 4, hidden = 4, layers = 1 }
train.fit { model = net, data = text, options = cfg.train }]]
local DOMAINS = [[
local experiment, data, models, train = require 'experiment', require 'data', require 'models', require 'train'
local cfg = experiment.config { train = { epochs = 1, seed = 3 },
  domains = { texts = { '%s/text.txt', '%s/other.txt' }, batch = 4, seq = 12, batches = 12, allow_leak = true } }
local set = data.domains(cfg.domains)
local net = models.char_rnn { vocab = set.vocab_size, cell = 'gru', embed = 4, hidden = 4, layers = 1 }
train.fit { model = net, data = set, options = cfg.train }]]

-- The first 200 bytes stay, and with them the first batch.
local CHANGES = {
  rewritten = TEXT:sub(1, 200) .. TEXT:sub(201):reverse(),
  cut = TEXT:sub(1, -100),
  longer = TEXT .. TEXT:sub(1, 40),
  ['one byte'] = TEXT:sub(1, -6) .. 'x' .. TEXT:sub(-4),
}

t.test('a text that changed behind its first batch is refused, by resume and by train.resume=auto', function()
  for change, changed in pairs(CHANGES) do
    runs.write('text.txt', TEXT)
    local ran = runs.run(HEAD:format(runs.root), '--stop-after', '3')
    t.equal(ran.code, 75, ran.output)
    runs.write('text.txt', changed)
    local output, code = runs.command('resume', ran.name)
    t.equal(code, 4, ('%s: %s'):format(change, output))
    t.contains(output, "resume: the data is not what the run")
    t.matches(output, "'text.txt' is sha256:%x+ %(%d+ bytes%), the run has sha256:%x+ %(%d+ bytes%)")
    output, code = runs.command(('%s/%s.lua'):format(runs.root, ran.name), 'train.resume=auto')
    t.equal(code, 4, ('%s: %s'):format(change, output))
    runs.write('text.txt', TEXT)
    t.equal(select(2, runs.command('resume', ran.name)), 0)
  end
end)

t.test('line ends are bytes too', function()
  runs.write('text.txt', TEXT)
  local ran = runs.run(HEAD:format(runs.root), '--stop-after', '3')
  runs.write('text.txt', (TEXT:gsub('\n', '\r')))
  t.equal(select(2, runs.command('resume', ran.name)), 4)
end)

t.test('a byte that changed in one of several texts is refused', function()
  runs.write('text.txt', TEXT)
  runs.write('other.txt', TEXT:upper())
  local ran = runs.run(DOMAINS:format(runs.root, runs.root), '--stop-after', '3')
  t.equal(ran.code, 75, ran.output)
  runs.write('other.txt', CHANGES['one byte']:upper())
  local output, code = runs.command('resume', ran.name)
  t.equal(code, 4, output)
  t.contains(output, "'other")
  runs.write('other.txt', TEXT:upper())
  t.equal(select(2, runs.command('resume', ran.name)), 0)
end)

t.test('a proof that interrupts nothing proves nothing', function()
  runs.write('text.txt', TEXT)
  local script = runs.write('proof.lua', HEAD:format(runs.root))
  local output, code = t.runner('verify-resume', script, '--at', '500', 'train.max_steps=4')
  t.equal(code, 3, output)
  t.contains(output, 'the training ends after 4 updates, so it cannot be interrupted after 500 and nothing is proved')
  output, code = t.runner('verify-resume', script, 'train.max_steps=4')
  t.equal(code, 0, output)
  t.contains(output, 'k = 2')
end)

t.test('files and folders whose names are not UTF-8 are found again', function()
  for _, name in ipairs { 'caf\195\169', 'caf\233' } do
    local folder = ('%s/%s'):format(runs.root, name)
    t.shell('mkdir -p ' .. t.quote(folder))
    runs.write(('%s/%s.txt'):format(name, name), TEXT)
    runs.write(name .. '/named.lua', HEAD:format '.')
    local command = ('cd %s && RUNNER_RESULTS_DIR=results %s '):format(t.quote(folder), runs.RUNNER)
    local output, code = t.shell(command .. 'named.lua --stop-after 3 ' .. t.quote('data.file=' .. name .. '.txt'))
    t.equal(code, 75, output)
    output, code = t.shell(command .. 'resume latest')
    t.equal(code, 0, output)
    t.shell(('rm %s'):format(t.quote(('%s/%s.txt'):format(folder, name))))
    runs.write(name .. '/caf\239\191\189.txt', TEXT) -- another file
    t.equal(select(2, t.shell(command .. 'resume latest train.epochs=2')), 4)
  end
end)
