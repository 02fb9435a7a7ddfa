-- A project that was moved or copied: its runs go on with what is there, never with the old place's script and data.
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'

local TEXT = texts.animals(200, '\n')
local SCRIPT = [[
local experiment, data, models, train = require 'experiment', require 'data', require 'models', require 'train'
local cfg = experiment.config { train = { epochs = 1, seed = 3 },
  data = { file = 'text.txt', batch = 8, seq = 18, stride = 18, allow_leak = true } }
local text = data.text(cfg.data)
local net = models.char_rnn { vocab = text.vocab_size, cell = 'gru', embed = 4, hidden = 4, layers = 1 }
print('steps', train.fit { model = net, data = text, options = cfg.train }.steps)]]

local function shell(folder, words, results)
  local setting = results and 'RUNNER_RESULTS_DIR=' .. results or 'unset RUNNER_RESULTS_DIR;'
  return t.shell(('cd %s/%s && %s %s %s'):format(runs.root, folder, setting, runs.RUNNER, words))
end

-- A project with a run that was stopped.
local function project(folder, script, results)
  t.shell(('rm -rf %s/%s; mkdir -p %s/%s'):format(runs.root, folder, runs.root, folder))
  runs.write(folder .. '/text.txt', TEXT)
  runs.write(folder .. '/named.lua', SCRIPT)
  local output, code = shell(folder, (script or 'named.lua') .. ' --stop-after 3', results)
  t.equal(code, 75, output)
end

local function copy(from, to) t.shell(('cd %s && rm -rf %s && cp -r %s %s'):format(runs.root, to, from, to)) end
local function move(from, to) t.shell(('cd %s && rm -rf %s && mv %s %s'):format(runs.root, to, from, to)) end

t.test('a moved project goes on where it is', function()
  project 'old'
  move('old', 'new')
  local output, code = t.shell(('cd / && %s resume %s/new/results/named/latest'):format(runs.RUNNER, runs.root))
  t.equal(code, 0, output)
  t.contains(output, ('folder    %s/new, moved or copied from %s/old'):format(runs.root, runs.root))
end)

t.test('a copied project goes on with its own script and data', function()
  project 'first'
  copy('first', 'second')
  t.shell(('rm %s/first/text.txt %s/first/named.lua'):format(runs.root, runs.root))
  local output, code = shell('second', 'resume latest')
  t.equal(code, 0, output)
  project 'first'
  copy('first', 'second')
  runs.write('second/text.txt', (TEXT:gsub('cat', 'cow')))
  output, code = shell('second', 'resume latest')
  t.equal(code, 4, output)
  runs.write('second/text.txt', TEXT)
  runs.write('second/named.lua', (SCRIPT:gsub('hidden = 4', 'hidden = 5')))
  output, code = shell('second', 'resume latest')
  t.is_true(code == 3 or code == 5, output)
  t.contains(output, 'named.lua')
end)

t.test('a script that was named by an absolute path is not that of the new place, and the way on is told', function()
  project('whole', runs.root .. '/whole/named.lua')
  copy('whole', 'twin')
  local output, code = shell('twin', 'resume latest')
  t.equal(code, 3, output)
  t.contains(output, ("it began with '%s/whole/named.lua' of the old place; "):format(runs.root))
  t.contains(output, ('to go on here: cd %s/twin && runner named.lua train.resume=auto'):format(runs.root))
  output, code = shell('twin', 'named.lua train.resume=auto')
  t.equal(code, 0, output)
  t.contains(output, 'resumed   step-00000003')
end)

t.test('results that were kept elsewhere stay with the folder they began in', function()
  project('here', nil, runs.root .. '/elsewhere')
  local output, code = t.shell(('cd / && RUNNER_RESULTS_DIR=%s/elsewhere %s resume latest')
    :format(runs.root, runs.RUNNER))
  t.equal(code, 0, output)
  project('here', nil, runs.root .. '/elsewhere')
  move('here', 'away')
  output, code = t.shell(('cd / && RUNNER_RESULTS_DIR=%s/elsewhere %s resume latest'):format(runs.root, runs.RUNNER))
  t.equal(code, 3, output)
  t.contains(output, ("was started in '%s/here', which is not there; to go on elsewhere, start its script there: "
    .. 'cd FOLDER && RUNNER_RESULTS_DIR=%s/elsewhere runner named.lua train.resume=auto')
    :format(runs.root, runs.root))
  output, code = shell('away', 'named.lua train.resume=auto', runs.root .. '/elsewhere')
  t.equal(code, 0, output)
  t.contains(output, 'resumed   step-00000003')
end)
