-- The experiments of experiments/graphmer: each runs on a small folder of Python files, and says what it found.
local files = require 'files'
local graphmer = require 'research.graphmer'
local host = require 'host'
local json = require 'json'
local options = require 'options'
local profiles = require 'research.graphmer_profiles'
local runs = require 'testing.runs'
local t = require 'testing'

-- The code of a module: classes and functions that call, raise and return, under names of its number.
local function module(n)
  local lines = { 'import os', ('import part%d'):format(n % 5), '' }
  for i = 1, 4 do
    lines[#lines + 1] = ([[
class Shape%d_%d(Base%d):
    """A shape of kind %d."""
    def area(self, width) -> float:
        if width < %d:
            raise ValueError('too small')
        return self.scale(width) * %d

    def describe_%d(self):
        try:
            return os.path.join(str(self.area(%d)), 'shape')
        except KeyError:
            return None

def make_%d_%d(size):
    shape = Shape%d_%d()
    return shape.area(size)
]]):format(n, i, i, i, i, n, n * 4 + i, n, n, i, n, i)
  end
  return table.concat(lines, '\n')
end

local FOLDER = t.temporary_folder()
for n = 1, 8 do files.write(('%s/part%d.py'):format(FOLDER, n), module(n)) end

-- The tokenizer's cache belongs into a folder that goes away too.
host.setenv('XDG_CACHE_HOME', t.temporary_folder())

local GRAPH = { 'graph.dir=' .. FOLDER, 'graph.vocab=300', 'graph.max_len=64' }
local MODEL = { 'model.d_model=16', 'model.layers=1', 'model.heads=2', 'model.ff=32', 'model.max_len=64' }

local function run(name, ...)
  local words = { '-q', unpack(GRAPH) }
  for _, list in ipairs { MODEL, { ... } } do
    for _, word in ipairs(list) do words[#words + 1] = word end
  end
  return runs.command(('experiments/graphmer/%s.lua'):format(name), unpack(words))
end

-- Those that a test below runs.
local TESTED = { selftest = true, build_kg = true, train = true, ablate_bias = true, ablate_loss = true,
  link_prediction = true, profiles = true, bench_published = true, project = true }

t.test('every experiment of the folder is run here', function()
  for _, file in ipairs(host.listdir 'experiments/graphmer') do
    local name = file:match '^(.*)%.lua$'
    if name then t.is_true(TESTED[name], name) end
  end
end)

t.test('the facts hold', function()
  local output, code = runs.command 'experiments/graphmer/selftest.lua'
  t.equal(code, 0, output)
  t.contains(output, 'Found: all facts hold.')
end)

t.test('a folder becomes files, which training reads as it reads the folder', function()
  local out = t.temporary_path()
  local output, code = runs.command('experiments/graphmer/build_kg.lua', 'dir=' .. FOLDER, 'out=' .. out)
  t.equal(code, 0, output)
  local made = json.read(out .. '/manifest.json')
  t.equal(#made.files, 8)
  t.matches(output, ('%d triples of %d entities'):format(made.triples, made.entities))
  local from_files, failed = runs.command('experiments/graphmer/train.lua', '-q', 'graph.triples=' .. out
    .. '/triples.jsonl', 'graph.code=' .. out .. '/code.jsonl', 'train.max_steps=3', unpack(GRAPH, 2))
  t.equal(failed, 0, from_files)
end)

t.test('accuracies stand beside baselines as k of n, and the weights know what they are of', function()
  -- More than the 200 updates after which a training is judged (guard G37): its loss has two heads.
  local output, code = run('train', 'train.max_steps=205', 'optim.lr=0.003')
  t.equal(code, 0, output)
  for _, words in ipairs { 'masked code +the model +[%d,]+ of [%d,]+ = ', 'masked facts +the model ',
    'of them tails +the model ', 'that of its relation and place in the leaf +[%d,]+ of ',
    'Guessing is right 0%.%d+ %%' } do
    t.matches(output, words)
  end
  local weights = 'weights=' .. runs.latest('train').folder .. '/model.safetensors'
  output, code = run('link_prediction', weights)
  t.equal(code, 0, output)
  t.matches(output, 'trained against untrained: MRR [+-]0%.%d+')
  t.matches(output, 'code search, MRR@10')
  output, code = run('link_prediction', weights, 'model.ff=64')
  t.equal(code, 5, output)
  t.contains(output, 'weights do not fit the model: wrong shape')
  output, code = run('link_prediction', weights, 'model.heads=4') -- of the same shapes
  t.equal(code, 5, output)
  t.matches(output, 'the model gives something else than the trained one did %(apart by [%d.]+ of it%)')
  output, code = run('link_prediction', weights, 'graph.files=7', 'graph.vocab=300')
  t.equal(code, 4, output)
  t.matches(output, 'these weights are of other tokens or relations')
end)

t.test('link prediction trains where it is given no weights', function()
  local output, code = run('link_prediction', 'train.max_steps=3')
  t.equal(code, 0, output)
  t.matches(output, 'triples of val, %d+ more left out because train has no such tail')
  t.matches(output, 'random +0%.%d+ expected')
end)

t.test('arms differ in relations alone, or in the loss alone', function()
  local output, code = run('ablate_bias', 'train.max_steps=4', 'compare.seeds=[1,2,3]')
  t.equal(code, 0, output)
  for _, arm in ipairs { 'no_bias', 'bias', 'no_relation', 'shuffled' } do
    t.matches(output, '\n' .. arm .. ' +%d')
  end
  t.matches(output, 'bias against no_bias, facts: ')
  t.contains(output, 'no percent change: 7 masked tokens are too few')
  output, code = run('ablate_bias', 'model.rel_bias=false')
  t.equal(code, 3, output)
  output, code = run('ablate_loss', 'train.max_steps=4', 'compare.seeds=[1,2]')
  t.equal(code, 0, output)
  t.matches(output, 'static_plain +%d')
  t.matches(output, '4 batches are 0%.%d+ epochs')
end)

t.test('a change in per cent needs a hundred tokens', function()
  local change = graphmer.change
  t.equal(change({ n = 200, correct = 30 }, { n = 200, correct = 20 }), '+50.0 % of 10.0 %')
  t.contains(change({ n = 99, correct = 30 }, { n = 200, correct = 20 }), 'no percent change: 99 masked tokens')
  t.contains(change({ n = 100, correct = 30 }, { n = 200, correct = 0 }), 'nothing right to compare with')
end)

t.test('profiles count updates, and what the command line says stays', function()
  local cfg = { graph = { files = 10 }, rows = { batch = 1 }, objective = { w_mnm = 1, ramp_steps = 0 },
    optim = { lr = 1, weight_decay = 0.01 }, train = { seed = 3 }, checkpoint = { every = { seconds = 600 } } }
  local made = profiles.apply(cfg, profiles.get 'rtx3070', function(path) return path == 'graph.files' end)
  t.equal(made, { graph = { files = 10 }, rows = { batch = 8 }, objective = { w_mnm = 1, ramp_steps = 63 },
    optim = { lr = 1, weight_decay = 0.01, clip_norm = 1, warmup = 25 }, train = { seed = 3, accumulate = 16,
    max_steps = 250 }, checkpoint = { every = { seconds = 600, steps = 16 } } })
  t.equal(cfg, options.with(cfg, { rows = { batch = 1 } }), 'the config stays as it was')
  t.equal(profiles.get 'gpu5', nil)
  t.equal((profiles.bytes(profiles.get 'm2', 128)), 16 * 106659232)
end)

t.test('profiles are a table, or one of them is run, or is none', function()
  local output, code = runs.command 'experiments/graphmer/profiles.lua'
  t.equal(code, 0, output)
  t.matches(output, 'm2 +Apple M2, fp32 +3600 +4 +96 +150')
  output, code = run('profiles', 'profile=m2', 'train.max_steps=2', 'train.accumulate=2')
  t.equal(code, 0, output)
  t.contains(output, 'm2, Apple M2, fp32: 2 updates of 2 x 4 samples, which are 4 micro-steps')
  output, code = run('profiles', 'profile=rtx3070', '--dry-run')
  t.equal(code, 0, output)
  t.contains(output, '250 updates')
  output, code = runs.command('experiments/graphmer/profiles.lua', 'profile=rtx307')
  t.equal(code, 3, output)
  t.contains(output, 'nearest: rtx3070')
end)

t.test('the published benchmark tells losses of micro-steps, times, memory and a checkpoint', function()
  local output, code = run('bench_published', 'model.profile=small', 'project=0')
  t.equal(code, 0, output)
  t.matches(output, '\n10 +%d+%.%d+ +%d+%.%d+ +%d+%.%d+ +17%.3577 ')
  t.matches(output, '5 updates of 4 micro%-steps: an update %d+ ms')
  t.matches(output, 'a checkpoint %d+%.%d+ GB')
end)

t.test('projections of several lengths stand beside what was claimed', function()
  local words = { 'model.profile=small' }
  for _, list in ipairs { { GRAPH[1], GRAPH[2] }, MODEL } do
    for _, word in ipairs(list) do words[#words + 1] = word end
  end
  local output, code = runs.command('experiments/graphmer/project.lua', '-q', 'lengths=[32]', 'accumulate=[2]',
    'micro_steps=100', 'words=' .. json.encode(words))
  t.equal(code, 0, output)
  t.matches(output, 'micro%-steps +at most 32, 2 an update +claimed')
  t.matches(output, '\n100 +[%d.]+ ?m?s.* +7%.5 min')
  t.matches(output, 'at most 32, 2 an update: %d+%.%d tokens a row, %d+ ms a micro%-step')
end)
