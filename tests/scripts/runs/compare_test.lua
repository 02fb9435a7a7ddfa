-- runner compare on run directories written by hand. Half widths are t * sd / sqrt(n) with t of printed tables, 97.5 %:
-- 4.30265 for n = 3 and 2.77645 for n = 5; each is worked out beside its case.
local dkjson = require 'dkjson'
local runs = require 'testing.runs'
local t = require 'testing'

local number = 0

-- A run with these properties; val losses are evals at steps 50, 100 ... each `pace` seconds long, the last one the
-- best.
local function make(experiment, p)
  number = number + 1
  local id = ('20260101-%06d-a1b2c3'):format(number)
  local folder = ('results/%s/%s'):format(experiment, id)
  t.shell(('mkdir -p %s/%s'):format(runs.root, folder))
  local function write(name, value)
    runs.write(folder .. '/' .. name, type(value) == 'string' and value or dkjson.encode(value))
  end
  local started = '2026-01-01T10:15:00.000Z'
  write('manifest.json', { format = 1, created = started, seed = p.seed, device = 'cpu', argv = p.argv,
    source_hash = p.source or 'sha256:aa', versions = { libtorch = '1.13.1' },
    machine = { cpu = p.cpu or 'Some CPU', flags = { 'avx2' }, cores = 4, threads = 4, load_average = p.load or 0 } })
  write('config.json', { format = 1, values = { optim = { lr = p.lr or 0.1 }, model = { hidden = p.hidden or 64 },
    train = { seed = p.seed, epochs = p.epochs } } })
  local losses = p.val or {}
  local ended = { format = 1, state = p.state or 'FINISHED', started = started, step = p.step or 100, steps = 100 }
  write('status.json', ended)
  ended.wall_s, ended.cpu_s = p.wall, p.cpu_s
  ended.summary = p.summary or #losses > 0 and { val_loss = { last = losses[#losses], best = losses[#losses] } } or nil
  write('exit.json', ended)
  local lines = { '{"event":"start","kind":"event","step":0,"t":1000}' }
  for i, loss in ipairs(p.train or {}) do
    lines[#lines + 1] = ('{"kind":"train","loss":%.17g,"step":%d,"t":1000.5,"tokens_backprop":%d}')
      :format(loss, i, i * (p.tokens or 10))
  end
  for i, loss in ipairs(losses) do
    lines[#lines + 1] = ('{"kind":"eval","loss":%.17g,"split":"val","step":%d,"t":%g}')
      :format(loss, 50 * i, 1000 + i * (p.pace or 10))
  end
  write('metrics.jsonl', table.concat(lines, '\n') .. '\n')
  return experiment .. '/' .. id
end

local function compare(...)
  local words = { ('RUNNER_RESULTS_DIR=%s/results %s compare'):format(runs.root, runs.RUNNER) }
  for _, word in ipairs { ... } do words[#words + 1] = t.quote(word) end
  return t.shell(table.concat(words, ' '))
end

-- The JSON objects of a comparison, by kind.
local function objects(...)
  local found = setmetatable({}, { __index = function(all, kind)
    all[kind] = {}
    return all[kind]
  end })
  for line in compare('--json', ...):gmatch '[^\n]+' do
    local object = assert(dkjson.decode(line), line)
    table.insert(found[object.kind], object)
  end
  return found
end

for seed, loss in ipairs { 1.4, 1.5, 1.6 } do make('three', { seed = seed, val = { 2, loss } }) end

t.test('three seeds of one configuration are a mean with its interval and their values', function()
  -- mean 1.5, sd 0.1: 4.30265 * 0.1 / sqrt(3) = 0.2484
  local output, code = compare 'three'
  t.equal(code, 0, output)
  t.contains(output, 'val_loss, best of each run; mean +- half width of the 95 % interval (n), single values by seed\n')
  t.contains(output, 'three  1.5000 +- 0.2484 (3)        1: 1.4000  2: 1.5000  3: 1.6000\n')
  t.contains(output, 'three/20260101-000001-a1b2c3  FINISHED  started 2026-01-01 10:15:00 UTC\n')
  t.is_false(output:find 'no claim')
end)

t.test('guard G39: one seed is a number without interval, of which nothing is claimed', function()
  make('one', { seed = 1, val = { 1.5 } })
  t.contains(compare 'one', 'one   1.5000 +- NA (1)            1: 1.5000  n = 1: no claim\n')
end)

-- Paired differences of lr=0.2 from lr=0.1: -0.1, -0.2, -0.3, -0.2, -0.2. Mean -0.2, sd sqrt(0.02 / 4) = 0.0707107:
-- 2.77645 * 0.0707107 / sqrt(5) = 0.0878. lr=0.1 itself: 1.1 ... 1.5, sd sqrt(0.1 / 4) = 0.158114: 0.1963.
for seed, loss in ipairs { 1.1, 1.2, 1.3, 1.4, 1.5 } do
  make('five', { seed = seed, lr = 0.1, val = { 2, loss } })
  make('five', { seed = seed, lr = 0.2, val = { 2, loss - ({ 0.1, 0.2, 0.3, 0.2, 0.2 })[seed] }, pace = 5 })
end

t.test('arms are compared by the difference of each seed, which is sharper than their intervals', function()
  local output = compare 'five'
  t.contains(output, 'optim.lr=0.1  1.3000 +- 0.1963 (5) ')
  t.contains(output, 'optim.lr=0.2  1.1000 +- ')
  t.contains(output, "difference from 'optim.lr=0.1', paired by seed, at equal updates (100)\n")
  t.matches(output, 'optim.lr=0.2  %-0.2000 %+%- 0.0878 %(5%)       lower  p 0.0032\n')
end)

t.test('the baseline is chosen by value or label', function()
  t.matches(compare('five', '--baseline', '0.2'),
    "difference from 'optim.lr=0.2'.*\noptim.lr=0.1  0.2000 %+%- 0.0878 %(5%)        higher")
  t.contains(compare('five', '--baseline', 'optim.lr=0.2'), "difference from 'optim.lr=0.2'")
  local output, code = compare('five', '--baseline', '0.3')
  t.contains(output, "--baseline: no arm is '0.3'; nearest: 0.1, 0.2")
  t.equal(code, 2, output)
end)

t.test('an interval that holds 0 is noise, with the smallest difference these seeds could have shown', function()
  -- Differences 0.1, -0.1, 0.3: mean 0.1, sd 0.2: 4.30265 * 0.2 / sqrt(3) = 0.4968
  for seed, difference in ipairs { 0.1, -0.1, 0.3 } do
    make('noise', { seed = seed, lr = 0.1, val = { 1 } })
    make('noise', { seed = seed, lr = 0.2, val = { 1 + difference } })
  end
  t.contains(compare 'noise',
    'optim.lr=0.2  0.1000 +- 0.4968 (3)        effect smaller than noise; these seeds could have shown 0.4968')
end)

t.test('differences that do not vary have no interval and claim nothing', function()
  for seed = 1, 3 do
    make('constant', { seed = seed, lr = 0.1, val = { 1 } })
    make('constant', { seed = seed, lr = 0.2, val = { 1.5 } })
  end
  t.contains(compare 'constant',
    'optim.lr=0.2  0.5000 +- NA (3)            the differences do not vary: no interval, no claim')
end)

t.test('two common seeds claim nothing, whatever they show', function()
  for seed = 1, 2 do
    make('two', { seed = seed, lr = 0.1, val = { 1 + seed / 100 } })
    make('two', { seed = seed, lr = 0.2, val = { 9 } })
  end
  make('two', { seed = 3, lr = 0.2, val = { 9 } })
  local output = compare 'two'
  t.matches(output, 'optim.lr=0.2  7.9850 .* %(2%)%s+n = 2: no claim')
end)

t.test('several comparisons with one baseline are corrected', function()
  -- Differences of 0.2 and 0.3 from 0.1 alike: 0.01, 0.02, 0.03; t = 3.4641 with 2 degrees, p = 0.0742, so that the
  -- interval holds 0. Of 0.4: 0.1, 0.11, 0.13: mean 0.113333, sd 0.0152753, t = 12.851,
  -- p = 1 - t / sqrt(t^2 + 2) = 0.0060009; three comparisons: 0.018.
  for seed = 1, 3 do
    make('holm', { seed = seed, lr = 0.1, val = { 1 } })
    for _, lr in ipairs { 0.2, 0.3 } do make('holm', { seed = seed, lr = lr, val = { 1 + seed / 100 } }) end
    make('holm', { seed = seed, lr = 0.4, val = { 1 + ({ 0.1, 0.11, 0.13 })[seed] } })
  end
  local output, found = compare 'holm', objects 'holm'
  t.contains(output, "3 arms were compared with the baseline; p is after Holm's correction")
  t.contains(output, 'optim.lr=0.4  0.1133 +- 0.0379 (3)        higher  p 0.018\n')
  t.near(found.difference[3].p, 0.0060009, 1e-6)
  t.near(found.difference[3].p_holm, 0.0180027, 1e-6)
  t.near(found.difference[1].p_holm, 2 * 0.0741799, 1e-6)
end)

t.test('what is significant alone may not be after the correction', function()
  -- Differences of 0.2: 0.1, 0.11, 0.17: mean 0.126667, sd 0.0378594, t = 5.795, p = 0.02852;
  -- 5 arms like it: p * 5 = 0.14
  for seed = 1, 3 do
    make('many', { seed = seed, lr = 0.1, val = { 1 } })
    for arm = 2, 6 do make('many', { seed = seed, lr = arm / 10, val = { 1 + ({ 0.1, 0.11, 0.17 })[seed] } }) end
  end
  t.contains(compare 'many',
    "optim.lr=0.2  0.1267 +- 0.0940 (3)        not significant after Holm's correction for 5 comparisons  p 0.14\n")
end)

t.test('guard G09: failed and partial seeds are listed and enter no mean unless asked', function()
  for seed, loss in ipairs { 1.4, 1.5, 1.6 } do make('failed', { seed = seed, val = { loss } }) end
  local partial = make('failed', { seed = 4, val = { 1.9 }, state = 'TIMEOUT', step = 41 })
  make('failed', { seed = 5, state = 'DIVERGED', step = 7 })
  local output = compare 'failed'
  t.matches(output, 'failed  1.5000 %+%- 0.2484 %(3%) .*3: 1.6000  3 of 5\n')
  t.contains(output, ('seed 4 left out: TIMEOUT 41 of 100 steps (%s)\n'):format(partial))
  t.contains(output, 'seed 5 left out: DIVERGED 7 of 100 steps')
  output = compare('failed', '--partial')
  -- sd 0.216, t 3.18245
  t.contains(output, 'failed  1.6000 +- 0.3437 (4)        1: 1.4000  2: 1.5000  3: 1.6000  4: 1.9000  4 of 5\n')
  t.contains(output, 'seed 4 is partial: TIMEOUT 41 of 100 steps')
  t.contains(output, 'seed 5 has no val_loss')
end)

t.test('a seed that ran twice counts once; two results of one seed are told', function()
  make('twice', { seed = 1, val = { 9 }, state = 'FAILED', step = 3 })
  local first = make('twice', { seed = 1, val = { 1.5 } })
  local second = make('twice', { seed = 1, val = { 1.5 } })
  make('twice', { seed = 1, val = { 0.1 }, argv = { 'x.lua', '--fast-dev-run' } })
  local output = compare 'twice'
  t.contains(output, 'twice  1.5000 +- NA (1) ')
  t.contains(output, ('seed 1: %s gave the same as %s and is left out'):format(first, second))
  t.contains(output, 'seed 1: FAILED 3 of 100 steps twice/')
  t.contains(output, 'FINISHED 100 of 100 steps, a --fast-dev-run twice/')
  local third = make('twice', { seed = 1, val = { 1.25 } })
  t.contains(compare 'twice', ('seed 1 has two results: 1.5 (%s, left out) and 1.25 (%s)'):format(second, third))
end)

local function series(n, change)
  local losses = {}
  for i = 1, n do losses[i] = 4 / i + (i == n and change or 0) end
  return losses
end

t.test('guard G35: arms that are equal to 12 digits are identical, which is not a result', function()
  for seed = 1, 3 do
    make('same', { seed = seed, lr = 0.1, val = { 1 + seed }, train = series(12, 0) })
    make('same', { seed = seed, lr = 0.2, val = { 1 + seed }, train = series(12, 1e-15) })
  end
  local output, code = compare 'same'
  t.contains(output, "arms 'optim.lr=0.1' and 'optim.lr=0.2' are identical: "
    .. 'at least 12 common updates equal to 12 digits; triggers: none | none')
  t.is_false(output:find 'optim.lr=0.2  0.0000')
  t.equal(code, 0, output)
  t.equal(select(2, compare('same', '--strict')), 1)
end)

t.test('prefixes of one training, and trainings with another number beside them, are not identical', function()
  local sum = 0
  for seed = 1, 3 do
    make('longer', { seed = seed, epochs = 1, step = 12, val = { 2 + 0.01 * seed }, train = series(12, 0) })
    make('longer', { seed = seed, epochs = 2, step = 24, val = { 1 + 0.02 * seed }, train = series(24, 0) })
    sum = sum + (1 + 0.02 * seed) - (2 + 0.01 * seed)
    for every, tscore in pairs { [0.1] = 0.8, [0.2] = 0.6 + 0.01 * seed } do
      make('beside', { seed = seed, lr = every, val = { 1 }, train = series(12, 0),
        summary = { val_loss = { last = 1, best = 1 }, tscore = { last = tscore } } })
    end
  end
  local found = objects 'longer'
  t.equal(#found.identical, 0)
  t.fields(found.difference[1], { verdict = 'lower', budget = 'budgets differ: 12 to 24 updates, by train.epochs' })
  t.near(found.difference[1].mean, sum / 3, 1e-12)
  found = objects('beside', '--metric', 'tscore')
  t.equal(#found.identical, 0)
  t.equal(found.difference[1].verdict, 'lower')
  t.equal(#objects('beside').identical, 1)
end)

t.test('where no run validates the training losses are compared, unless val_loss was asked for', function()
  for seed = 1, 3 do
    make('untested', { seed = seed, lr = 0.1, summary = { train_loss = { last = 0.5 } } })
    make('untested', { seed = seed, lr = 0.2, summary = { train_loss = { last = 0.5 + 0.1 * seed } } })
  end
  t.equal(objects 'untested'.arm[1].metric, 'train_loss')
  local output, code = compare('untested', '--metric', 'val_loss')
  t.equal(code, 2, output)
  t.contains(output, "no run has the metric 'val_loss'; nearest: ")
end)

t.test('a comparison as CSV and as Markdown, with what the runs took', function()
  for seed = 1, 3 do
    make('export', { seed = seed, lr = 0.1, val = { 1 }, wall = 2 * seed, cpu_s = seed, train = { 3, 2 } })
    make('export', { seed = seed, lr = 0.2, val = { 2 + 0.01 * seed }, wall = 1, train = { 3, 2.5 } })
  end
  local output, code = compare('export', '--csv')
  t.equal(code, 0, output)
  local lines = {}
  for line in output:gmatch '[^\n]+' do lines[#lines + 1] = line end
  t.equal(lines[1], 'arm,metric,n,of,mean,half,baseline,difference,difference_half,p_holm,verdict,cpu_s,wall_s,targets')
  t.equal(lines[2], 'optim.lr=0.1,val_loss.best,3,3,1,,,,,,,2,4,20')
  t.matches(lines[3], '^optim%.lr=0%.2,val_loss%.best,3,3,2%.0[12]%d*,[%d.]+,'
    .. 'optim%.lr=0%.1,1%.0[12]%d*,[%d.]+,[%d.e-]+,higher,,1,20$')
  output = compare('export', '--markdown')
  t.contains(output, '| `optim.lr=0.1` | 1.0000 +- NA (3) |  |  |  | 2.0 |\n')
  t.contains(output, '| `optim.lr=0.2` | 2.0200 +- 0.0248 (3) | 1.0200 +- 0.0248 |')
  t.contains(compare 'export', 'cost of a run: CPU time, wall time, targets\noptim.lr=0.1  2.0s        4.0s        20\n'
    .. 'optim.lr=0.2  NA          1.0s        20\n')
  t.equal(select(2, compare('export', '--csv', '--json')), 2)
end)

t.test('nine equal updates, or one that differs, are not identical', function()
  for seed = 1, 3 do
    make('near', { seed = seed, lr = 0.1, val = { 1 }, train = series(9, 0) })
    make('near', { seed = seed, lr = 0.2, val = { 1 }, train = series(9, 0) })
    make('near', { seed = seed, lr = 0.3, val = { 1 }, train = series(12, 1e-6) })
    make('near', { seed = seed, lr = 0.4, val = { 1 }, train = series(12, 0) })
  end
  local output, code = compare('near', '--strict')
  t.is_false(output:find 'identical', output)
  t.contains(output, 'optim.lr=0.2  0.0000 +- NA (3)            equal to 12 digits in every common seed: no claim')
  t.equal(code, 0, output)
end)

t.test('guard G19: times are to the loss that every run reached, and divided where runs may be', function()
  -- Every run of `five` reaches 1.5 at its second eval: after 20 s with lr=0.1, after 10 s with lr=0.2, whose losses
  -- are the lower ones.
  local output = compare 'five'
  t.contains(output, 'time to val_loss 1.5000, the lowest that every run reached\n')
  t.contains(output, 'optim.lr=0.1  20s +- NA (5)\n')
  t.contains(output, 'optim.lr=0.2  10s +- NA (5)               x 0.5000 +- NA (5)\n')
end)

t.test('a ratio of times whose interval holds 1 is noise', function()
  -- Ratios 1, 1.1, 0.8: mean 0.966667, sd 0.152753: 4.30265 * 0.152753 / sqrt(3) = 0.3795
  for seed, pace in ipairs { 10, 11, 8 } do
    make('ratio', { seed = seed, lr = 0.1, val = { 1 } })
    make('ratio', { seed = seed, lr = 0.2, val = { 1 }, pace = pace })
  end
  t.contains(compare 'ratio', 'x 0.9667 +- 0.3795 (3), effect smaller than noise\n')
end)

t.test('guard G42: times of different machines or sources are not divided, unless asked, and then marked', function()
  for seed = 1, 3 do
    make('where', { seed = seed, lr = 0.1, val = { 1 } })
    make('where', { seed = seed, lr = 0.2, val = { 1 }, cpu = 'Other CPU', load = 3, pace = 5 })
    make('where', { seed = seed, lr = 0.3, val = { 1 }, source = 'sha256:bb' })
  end
  local output = compare 'where'
  t.contains(output, 'optim.lr=0.2  5.00s +- NA (3)             no ratio: runs differ in cpu\n')
  t.contains(output, 'optim.lr=0.3  10s +- NA (3)               no ratio: runs differ in sources\n')
  t.contains(output, 'noisy: at the start of 3 of 9 runs others took more than 20 % of the cores')
  t.contains(compare('where', '--allow-mixed'), 'x 0.5000 +- NA (3), marked: runs differ in cpu\n')
end)

t.test('quality is claimed at equal updates or targets only', function()
  local function arms(name, tokens)
    for seed = 1, 3 do
      make(name, { seed = seed, lr = 0.1, val = { 1 }, train = series(10, 0), step = 10 })
      make(name, { seed = seed, lr = 0.2, val = { 2 + seed / 100 }, train = series(5, 0), step = 5, tokens = tokens })
    end
    return compare(name)
  end
  local output = arms('budget', 10)
  t.contains(output, 'budgets differ: 5 to 10 updates')
  t.contains(output, 'no claim: the budgets differ')
  output = arms('targets', 20)
  t.contains(output, 'at equal targets (100)')
  t.contains(output, 'higher  p')
end)

t.test('arms by a key hold one configuration each, unless averaging over others is asked for', function()
  for seed = 1, 3 do
    for _, hidden in ipairs { 64, 128 } do
      make('mixed', { seed = seed, lr = 0.1, hidden = hidden, val = { 1 + seed / 10 } })
      make('mixed', { seed = seed, lr = 0.2, hidden = hidden, val = { 1.5 + seed / 10 + hidden / 1280 } })
    end
  end
  local output, code = compare('mixed', '--by', 'optim.lr')
  t.contains(output, "arm 'optim.lr=0.1' holds runs that differ in model.hidden; "
    .. 'add --by model.hidden, or average over them with --allow-mixed')
  t.equal(code, 3, output)
  output = compare('mixed', '--by', 'optim.lr', '--by', 'model.hidden')
  t.contains(output, 'optim.lr=0.2 model.hidden=128  ')
  output = compare('mixed', '--by', 'optim.lr', '--allow-mixed')
  t.contains(output, "marked: arm 'optim.lr=0.1' is mixed: its runs differ in model.hidden")
  -- Differences 0.55 and 0.6, three times each: mean 0.575, sd 0.0273861, t 2.57058 (5):
  -- 2.57058 * 0.0273861 / sqrt(6) = 0.0287
  t.contains(output, 'optim.lr=0.2  0.5750 +- 0.0287 (6)        higher')
end)

t.test('arms that differ in more than the key are marked', function()
  make('confounded', { seed = 1, lr = 0.1, hidden = 64, val = { 1 } })
  make('confounded', { seed = 1, lr = 0.2, hidden = 128, val = { 2 } })
  t.contains(compare('confounded', '--by', 'optim.lr'), 'marked: the arms also differ in model.hidden')
  t.contains(compare 'confounded', 'model.hidden=64 optim.lr=0.1  ')
end)

t.test('runs of several experiments are arms by their name, whatever their configs', function()
  make('foreign', { seed = 1, lr = 0.5, hidden = 8, val = { 1 } })
  t.contains(compare('three', 'foreign'), 'foreign  1.0000 +- NA (1) ')
  t.contains(compare('five', 'foreign'), 'five optim.lr=0.2     1.1000 +- ')
  make('wide', { seed = 1, lr = ('long'):rep(40), val = { 1 } })
  make('wide', { seed = 1, lr = 0.1, val = { 1 } })
  t.equal(select(2, compare 'wide'), 0)
  t.contains(compare('three', 'one/latest'), 'one    1.5000 +- NA (1) ')
end)

t.test('another metric is compared by its last value, or as asked', function()
  t.contains(compare('three', '--metric', 'val_loss.last'), 'val_loss, last of each run')
  t.contains(compare('near', '--metric', 'loss.best', '--by', 'optim.lr'), 'optim.lr=0.1  0.4444 +- NA (3) ')
  local output, code = compare('near', '--metric', 'los')
  t.contains(output, "no run has the metric 'los'; nearest: loss")
  t.equal(code, 2, output)
end)

t.test('mistakes are told with what to do', function()
  local function expect(code, text, ...)
    local output, got = compare(...)
    t.contains(output, text)
    t.equal(got, code)
  end
  expect(2, "missing argument 'runs'")
  expect(2, "run 'fvie' is not in", 'fvie')
  expect(3, "--by: no run has the key 'optim.lrate'; nearest: optim.lr", 'five', '--by', 'optim.lrate')
  expect(3, "--by train.seed: seeds are what an arm's mean is over", 'five', '--by', 'train.seed')
  make('unfinished', { seed = 1, state = 'FAILED', step = 3, val = { 2 } })
  expect(4, 'no run finished: seed 1 left out: FAILED 3 of 100 steps', 'unfinished')
  make('silent', { seed = 1 })
  expect(4, "no run has any number yet, so 'val_loss' cannot be compared", 'silent')
end)
