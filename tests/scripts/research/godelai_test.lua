-- The GodelAI experiments: each runs, and says what it found.
local host = require 'host'
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'

local text = runs.write('small.txt', texts.words(120000))
local TEXT = { 'data.file=' .. text, 'data.allow_leak=true' }
local function part(from, to, name) return ('{file=%s, from=%s, to=%s, name=%s}'):format(text, from, to, name) end
local HALVES = { ('domains.texts=[%s, %s]'):format(part(0, 0.5, 'a'), part(0.5, 1, 'b')), 'domains.batch=8',
  'domains.seq=20' }

-- Of each: the words that make it small.
local EXPERIMENTS = {
  tscore_selftest = {}, tscore_methods = TEXT, tscore_adversarial = {}, tscore_batchsize = TEXT, diagnose = TEXT,
  shakespeare_mini = TEXT, ab_shakespeare = TEXT, ab_mini = TEXT, forgetting_ab = HALVES, fisher_scaling = HALVES,
  conflict_sequence = HALVES, permuted_tasks = { 'tasks.train=200', 'tasks.test=50' }, gradient_collapse = TEXT,
  transformer_ab = TEXT, scale_mlp = {}, outliers = TEXT, thirty_epochs = 'below: it needs a run',
}

local function try(name, words)
  t.test(('experiments/godelai/%s.lua runs under --fast-dev-run'):format(name), function()
    local given = { '--fast-dev-run', '-q' }
    for _, word in ipairs(words) do given[#given + 1] = word end
    local output, code = runs.command(('experiments/godelai/%s.lua'):format(name), unpack(given))
    t.equal(code, 0, output)
  end)
end
for name, words in pairs(EXPERIMENTS) do
  if type(words) == 'table' then try(name, words) end
end

t.test('every experiment of the folder is run here', function()
  for _, file in ipairs(host.listdir 'experiments/godelai') do
    local name = file:match '^(.*)%.lua$'
    if name then t.is_true(EXPERIMENTS[name] ~= nil, name) end
  end
end)

-- What they do only when phases end: small trainings from beginning to end.
local SMALL = { '-q', 'domains.batches=12', 'domains.passes=1', 'model.embed=8', 'model.hidden=16', 'model.layers=1',
  'guards.no_learning=off', 'compare.seeds=[1,2]' }

local function small(name, ...)
  local words = { ... }
  for _, list in ipairs { HALVES, SMALL } do
    for _, word in ipairs(list) do words[#words + 1] = word end
  end
  local output, code = runs.command(('experiments/godelai/%s.lua'):format(name), unpack(words))
  t.equal(code, 0, output)
  return output
end

t.test('forgetting_ab tells the whole matrix of each arm, and one of equal time has fewer updates', function()
  local output = small('forgetting_ab',
    'compare.modes=[naive,joint,frozen,ewc,ewc_target,l2,sleep,replay,reservoir,full,slow]',
    'compare.costs={replay=2}', 'cures.memory=20')
  t.contains(output, 'naive, seed 2: val loss:\nloss on each domain (columns) after training each domain (rows)')
  t.contains(output, 'loss on the first train batches:')
  t.matches(output, '\nnaive +[%d.]+ %+%- [%d.]+ %(2%).* 24 %(2%)')
  t.matches(output, '\nreplay, equal time +[%d.]+ %+%- [%d.]+ %(2%).* 12 %(2%)')
  t.contains(output, 'new-task loss (plasticity), difference from')
end)

t.test('fisher_scaling puts raw and scaled on one axis', function()
  local output = small('fisher_scaling', 'compare.scaled=[2]', 'compare.raw=[0.4]')
  t.matches(output, '\nscaled 2 [^\n]* 2%.0000 %(2%)')
end)

t.test('the published halves are trained as published, and another text is told', function()
  local output = small('forgetting_ab', 'published=true', 'train.seed=1')
  t.contains(output, 'not the published configuration (')
end)

t.test('permuted tasks have accuracies, and monitoring alone changes nothing', function()
  local output, code = runs.command('experiments/godelai/permuted_tasks.lua', '-q', 'tasks.train=200', 'tasks.test=50',
    'tasks.tasks=3', 'tasks.passes=1', 'model.hidden=[16]', 'compare.seeds=[1]', 'compare.memory=[20]',
    'guards.no_learning=off')
  t.equal(code, 0, output)
  t.matches(output, 'naive, not monitored +%-?[%d.e-]+ %(1%)')
  output, code = runs.command('experiments/godelai/permuted_tasks.lua', '-q', 'tasks.kind=split', 'tasks.train=1500',
    'tasks.test=100', 'tasks.tasks=3', 'model.hidden=[32]', 'compare.seeds=[1]', 'compare.modes=[naive]')
  t.equal(code, 0, output) -- classes that were never met have a high loss when they come, which is no divergence
  t.contains(output, 'accuracy forgotten')
end)

t.test('an A/B whose sleep never fires says that its arms are identical', function()
  local output, code = runs.command('experiments/godelai/ab_shakespeare.lua', '-q', TEXT[1], TEXT[2], 'data.batch=8',
    'model.embed=8', 'model.hidden=8', 'model.layers=1', 'train.epochs=1', 'compare.seeds=[1,2]', 'data.chars=12000')
  t.equal(code, 0, output)
  t.contains(output, "G35 identical_arms: arms 'standard' and 'sleep' are identical")
end)

t.test('the report of the benchmark is made of its runs', function()
  local words = { '-q', TEXT[1], TEXT[2], 'data.batch=8', 'data.chars=12000', 'model.embed=8', 'model.hidden=8',
    'model.layers=1', 'train.epochs=2' }
  local output, code = runs.command('experiments/shakespeare_30ep.lua', unpack(words))
  t.equal(code, 0, output)
  local folder = runs.root .. '/results/shakespeare_30ep'
  local function other_than(known) -- within one second the newest is decided by chance
    for _, name in ipairs(host.listdir(folder)) do
      local path = folder .. '/' .. name
      if path ~= known and host.stat(path .. '/exit.json') and name ~= 'latest' then return path end
    end
  end
  local all = other_than(nil)
  words[#words + 1], words[#words + 2] = 'tscore.every=0', 'probe.batches=2'
  output, code = runs.command('experiments/shakespeare_30ep.lua', unpack(words))
  t.equal(code, 0, output)
  local probe = other_than(all)
  local peer = runs.write('peer.jsonl',
    '{"kind":"machine","cpu":"x"}\n{"kind":"row","name":"a step","ours_ms":10,"peer_ms":25}\n')
  output, code = runs.command('experiments/godelai/thirty_epochs.lua', 'report.all=' .. all,
    'report.probe=' .. probe, 'report.peer=' .. peer)
  t.equal(code, 0, output)
  t.matches(output, '| T%-Score, a batch | [%d.-]+ ms, [+-][%d.]+ %% | 7,793 ms | measured |')
  t.contains(output, '| a step | 10.0 ms | 25.0 ms | 2.5 |')
  t.contains(output, '| epoch | train | val | T | T_c | S | Q | N |')
  t.contains(output, 'T of the first batches')
  t.matches(output, '| forward | [%d.]+ |')
end)
