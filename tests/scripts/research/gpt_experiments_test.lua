-- The experiments of experiments/randygpt and experiments/hybrid: each runs, and says what it found.
local host = require 'host'
local runs = require 'testing.runs'
local scaling = require 'research.scaling'
local t = require 'testing'
local texts = require 'testing.texts'

local TEXT = 'data.file=' .. runs.write('small.txt', texts.words(20000))
local MODEL = { TEXT, 'data.batch=4', 'data.seq=16', 'data.allow_leak=true' }

local SMALL = { 'model.d_model=16', 'model.heads=2', 'model.layers=1', 'tokens.batch=2', 'tokens.seq=16',
  'data.batch=2', 'data.seq=16', 'data.allow_leak=true', TEXT }
local TINY_GPT2 = { 'tokens.vocab=50', 'tokens.batch=2', 'tokens.seq=8', 'tokens.batches=12' }

local SMALL_STEPS = { 'model.d_model=16', 'model.heads=2', 'model.layers=1', 'data.batch=2', 'data.seq=16',
  'data.allow_leak=true', 'data.batches=250', 'hybrid.max_predict=2', TEXT }

-- Of each: the words that make it small.
local EXPERIMENTS = {
  randygpt = { selftest = {}, train = MODEL, published_v03 = MODEL, grad_modes = MODEL, init_norm = MODEL, late = MODEL,
    bpe = { 'bpe.vocab=270', 'bpe.folder=' .. t.temporary_folder() .. '/bpe', unpack(MODEL) },
    time_to_loss = MODEL, scaling = MODEL, generate = { TEXT, 'length=20' } },
  hybrid = { selftest = { TEXT, 'data.allow_leak=true' }, device_check = {}, arms = SMALL, arms_markov = SMALL,
    arms_random = SMALL, phase_sweep = SMALL, step_profile = SMALL, baseline = 'below', reproduce_published = 'below',
    forecast = 'below: it needs a run' },
}

local function try(folder, name, words)
  t.test(('experiments/%s/%s.lua runs under --fast-dev-run'):format(folder, name), function()
    local given = { '--fast-dev-run', '-q' }
    for _, word in ipairs(words) do
      if not (word:find '^tokens' and name == 'step_profile') then given[#given + 1] = word end
    end
    if name == 'train' or name == 'generate' then given[#given + 1] = 'prompts=[a,b]' end
    local output, code = runs.command(('experiments/%s/%s.lua'):format(folder, name), unpack(given))
    t.equal(code, 0, output)
  end)
end
for folder, all in pairs(EXPERIMENTS) do
  for name, words in pairs(all) do
    if type(words) == 'table' then try(folder, name, words) end
  end
end

t.test('every experiment of the folders is run here', function()
  for folder, all in pairs(EXPERIMENTS) do
    for _, file in ipairs(host.listdir('experiments/' .. folder)) do
      local name = file:match '^(.*)%.lua$'
      if name then t.is_true(all[name] ~= nil, folder .. '/' .. name) end
    end
  end
end)

t.test('the published initial values stop GPT-2 small, and pass where the guard is told so', function()
  local function run(script, ...)
    local words = { '--fast-dev-run', '-q', ..., unpack(TINY_GPT2) }
    return runs.command(('experiments/%s.lua'):format(script), unpack(words))
  end
  local output, code = run('hybrid/baseline', 'guards.init_loss=error')
  t.equal(code, 6, output)
  t.matches(output, 'G05 init_loss: [^\n]*expected 3%.91')
  output, code = run('hybrid/baseline', 'guards.init_loss=warn')
  t.equal(code, 0, output)
  t.contains(output, 'Guessing is 3.912 nats')
  output, code = run('hybrid/reproduce_published', 'train.seed=2')
  t.equal(code, 0, output)
  output, code = run('gpt2_small', 'train.seed=2')
  t.equal(code, 0, output)
  t.contains(output, '1 updates')
end)

t.test('the facts of HybridTrainer hold', function()
  local output, code = runs.command('experiments/hybrid/selftest.lua', '-q', TEXT, 'data.allow_leak=true')
  t.equal(code, 0, output)
  t.contains(output, '15 of them real, are those of 15 plain updates')
end)

t.test('a forecast needs a run with losses', function()
  local output, code = runs.command('experiments/hybrid/step_profile.lua', '-q', unpack(SMALL_STEPS))
  t.equal(code, 0, output)
  t.contains(output, 'Tensors of the process')
  output, code = runs.command('experiments/hybrid/forecast.lua', '-q', 'run=step_profile')
  t.equal(code, 0, output)
  t.contains(output, 'the mean of the last 16')
  output, code = runs.command('experiments/hybrid/forecast.lua', '-q', 'run=baseline')
  t.equal(code, 3, output)
  t.contains(output, 'a forecast needs 100')
end)

t.test('rows of other work get no speed-up, and a fit needs three rows', function()
  local function row(strategy, threads, median, loss)
    return { strategy = strategy, threads = threads, median = median, loss = loss or 2 }
  end
  local rows = { row('intra_op', 1, 100), row('intra_op', 2, 60), row('replicas', 2, 55, 2.01) }
  scaling.compare(rows)
  t.near(rows[2].speed_up, 100 / 60, 1e-12)
  t.near(rows[2].efficiency, 100 / 120, 1e-12)
  t.equal(rows[3].speed_up, nil)
  local serial, why = scaling.fit(rows, 'intra_op', 2)
  t.equal(serial, nil)
  t.equal(why, '2 rows of up to 2 cores are too few for a fit; three are needed')
  local fitted = {}
  for i, n in ipairs { 1, 2, 4, 8 } do fitted[i] = row('intra_op', n, 100 / scaling.amdahl(0.2, n)) end
  scaling.compare(fitted)
  t.near(scaling.fit(fitted, 'intra_op', 8), 0.2, 1e-9)
  t.near(scaling.amdahl(0.2, 8), 3.333, 1e-3)
  t.near(scaling.serial_share(8.3, 12), 0.041, 1e-3)
  t.error_matches(function() scaling.compare { row('intra_op', 2, 1) } end, 'the first row must have one thread')
end)
