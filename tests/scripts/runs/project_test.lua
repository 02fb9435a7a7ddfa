-- runner project: what a few timed updates tell of many, by hand-made timings and by a tiny script; the callback that
-- projects while a training runs.
local cadence = require 'projection.cadence'
local clock = require 'projection.clock'
local forecast = require 'projection.forecast'
local host = require 'host'
local json = require 'json'
local resample = require 'projection.resample'
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'
local timings = require 'projection.timings'
local trainings = require 'testing.trainings'

local function filled(n, f)
  local values = {}
  for i = 1, n do values[i] = f(i) end
  return values
end

local function kinds(flags)
  local names = {}
  for i, flag in ipairs(flags) do names[i] = flag.kind end
  return table.concat(names, ' ')
end

t.test('constant updates give their sum, and an interval without width', function()
  local drawn = resample.draw(filled(20, function() return 0.25 end))
  local total = resample.total(drawn, 1000, 30)
  for _, name in ipairs { 'low', 'mid', 'high' } do t.near(total[name], 280, 1e-9) end
end)

t.test('the same timings tell the same, and draw nothing of the numbers of the script', function()
  local values = filled(20, function(i) return 1 + i % 3 / 10 end)
  math.randomseed(3)
  local expected = math.random()
  math.randomseed(3)
  local function told() return json.encode(resample.total(resample.draw(values), 50)) end
  t.equal(told(), told())
  t.equal(math.random(), expected)
end)

t.test('an interval of updates that scatter holds their mean, and narrows with more of them', function()
  local function width(n)
    -- Multiples of the golden ratio modulo 1 lie evenly between 0 and 1, in no order: mean 1.
    local total = resample.total(resample.draw(filled(n, function(i) return 0.5 + i * 0.6180339887 % 1 end)), 1000)
    t.is_true(total.low < 1000 and total.high > 1000, ('%g to %g'):format(total.low, total.high))
    return total.high - total.low
  end
  t.is_true(width(200) < width(20))
end)

t.test('a level that lasts for blocks widens the interval more than the same values mixed', function()
  local function width(f)
    local total = resample.total(resample.draw(filled(20, f)), 1000)
    return total.high - total.low
  end
  local lasting = width(function(i) return (i > 4 and i <= 8 or i > 12 and i <= 16) and 1.2 or 1 end)
  local mixed = width(function(i) return i % 5 < 2 and 1.2 or 1 end)
  t.is_true(lasting > 2 * mixed, ('%g, %g'):format(lasting, mixed))
end)

t.test('cores that others held widen it: they may leave, or more may come', function()
  local values = filled(20, function() return 1 end)
  local total = resample.total(resample.draw(values, 0.5), 100)
  t.is_true(total.low < 70 and total.low > 50, total.low)
  t.is_true(total.high > 130 and total.high < 150, total.high)
  t.equal(kinds(timings.flags(values, nil, 0.5)), 'busy')
end)

t.test('a trend is flagged, and the interval reaches where it leads', function()
  local rising = filled(20, function(i) return i <= 10 and 100 or 120 end)
  local flags = timings.flags(rising)
  t.equal(kinds(flags), 'trend')
  t.near(flags[1].ratio, 1.2, 1e-12)
  t.contains(flags[1].text, 'took 1.20 times the first')
  t.is_true(resample.total(resample.draw(rising), 100).high > 100 * 120)
  t.equal(kinds(timings.flags(filled(20, function(i) return i <= 10 and 100 or 85 end))), 'trend')
  t.equal(kinds(timings.flags(filled(20, function(i) return i <= 10 and 100 or 108 end))), '')
end)

t.test('outliers and a cold first update are told in words', function()
  local values = filled(20, function(i) return i == 7 and 900 or 100 end)
  local flags = timings.flags(values)
  t.equal(kinds(flags), 'outlier')
  t.contains(flags[1].text, 'timed update 7 took 900 ms, 9.0 times the median')
  local cold = timings.flags(filled(20, function() return 100 end), { 950, 100, 100 })
  t.equal(kinds(cold), 'first_update')
  t.contains(cold[1].text, 'the first update took 950 ms, 9.5 times the median')
end)

t.test('a T-Score that is rarer than what was timed is told', function()
  t.equal(kinds(timings.flags(filled(20, function() return 100 end), nil, nil, 100)), 'tscore')
  t.equal(kinds(timings.flags(filled(20, function() return 100 end), nil, nil, 20)), '')
end)

t.test('evals and checkpoints come as the loop makes them', function()
  local every = { steps = 0, seconds = 600, epochs = 1 }
  local plan = { batches = 10, accumulate = 4, update_s = 10, eval_s = 1, save_s = 0.01, every = every }
  t.equal(cadence.epoch_updates(plan), 3)
  t.equal(cadence.micro_steps(plan, 3), 10) -- 4, 4 and the 2 that are left
  t.equal(cadence.micro_steps(plan, 7), 24)
  t.fields(cadence.count(plan, 0, 3), { evals = 1, checkpoints = 1 })
  t.fields(cadence.count(plan, 0, 7), { evals = 3, checkpoints = 3 })
  t.fields(cadence.count(plan, 3, 7), { evals = 2, checkpoints = 2 })
  t.fields(cadence.count(plan, 7, 7), { evals = 0, checkpoints = 0 })
  plan.save_s = 5 -- 1 % of the time at most: the first, near 500 and 1000 s, then the best one that waits, and the end
  t.fields(cadence.count(plan, 0, 100), { evals = 34, checkpoints = 5 })
  plan.every = { steps = 20, seconds = 0, epochs = 0 }
  t.equal(cadence.count(plan, 0, 40).checkpoints, 4) -- at 20 with the best one that waits, at 40 with the next
  plan.save_s = nil
  t.equal(cadence.count(plan, 0, 40).checkpoints, 0)
  plan.eval_s = 0
  t.equal(cadence.count(plan, 0, 40).evals, 0)
end)

-- Updates of 100 ms with 4 micro-steps.
local function measured(changes)
  local record = { step_ms = 90, between_ms = { log = 10, eval = 5000, save = 5000 }, micro_batches = 4,
    phases_ms = { forward = 30, backward = 50, clip = 4, other = 6 } }
  local made = { name = 'x', device = 'cpu', threads = 2, startup_s = 7, waiting = 0, batches = 400, accumulate = 4,
    every = { steps = 0, seconds = 0, epochs = 1 }, warm_up = filled(3, function() return record end),
    timed = filled(20, function() return record end), eval = { s = 2 } }
  for key, value in pairs(changes or {}) do made[key] = value end
  return made
end

t.test('a projection adds start-up, updates and evals, and tells micro-steps beside updates', function()
  local p = forecast.of(measured(), 1000)
  t.fields(p.to, { updates = 1000, micro_steps = 4000 })
  t.fields(p.timed, { updates = 20, micro_steps = 80, warm_up_updates = 3 })
  t.near(p.timed.update_ms.median, 100, 1e-9)
  t.near(p.timed.micro_step_ms.median, 20, 1e-9)
  for _, name in ipairs { 'low_s', 'mid_s', 'high_s' } do t.near(p.whole[name], 7 + 100 + 10 * 2, 1e-6) end
  t.equal(p.whole.evals, 10)
  t.near(p.ends.mid - host.unix_time(), 127, 5)
  local updates = {}
  for i, cost in ipairs(p.rows) do updates[i] = cost.updates end
  t.equal(table.concat(updates, ' '), '100 500 1000 3500 6500 10000')
  t.equal(p.rows[1].rest, nil) -- there are no checkpoints to go on from
  t.equal(#forecast.of(measured(), 300).rows, 7)
end)

t.test('going on from a checkpoint costs a start, its loading and what is left', function()
  local p = forecast.of(measured { eval = false, checkpoint = { s = 1, size_mb = 3, restore_s = 2 },
    every = { steps = 0, seconds = 0, epochs = 0 } }, 1000)
  local rest = p.rows[2].rest
  t.near(rest.mid_s, 7 + 2 + 50 + rest.checkpoints, 1e-6)
  t.equal(p.rows[3].rest, nil)
end)

t.test('phases add up to an update, those of micro-steps are told for one', function()
  local rows, sum = timings.phases(measured().timed), 0
  for _, row in ipairs(rows) do sum = sum + row.update_ms end
  t.near(sum, 100, 1e-9)
  t.fields(rows[1], { phase = 'forward', update_ms = 30, micro_step_ms = 7.5 })
  t.equal(rows[3].phase, 'clip')
  t.equal(rows[3].micro_step_ms, nil)
end)

t.test('an end is a date and two times of day, or two dates', function()
  local noon = os.time { year = 2030, month = 3, day = 5, hour = 12 }
  t.equal(clock.range(noon + 3600, noon + 7200, noon), 'Tue 5 Mar, 13:00 to 14:00')
  t.equal(clock.range(noon + 60, noon + 75, noon), 'Tue 5 Mar, 12:01:00 to 12:01:15')
  t.equal(clock.range(noon + 11 * 3600, noon + 13 * 3600, noon), 'Tue 5 Mar, 23:00 to Wed 6 Mar, 01:00')
end)

local TEXT = t.write_file(texts.words(4000), '.txt')
local SCRIPT = runs.write('projected.lua', "print 'from the script'\n"
  .. trainings.characters(TEXT, { train = 'max_steps = 2, accumulate = 2' }) .. 'fit()\nerror "not reached"')

local function projected(...)
  local words = { 'project', ... }
  for i, word in ipairs(words) do words[i] = t.quote(word) end
  return t.shell(('env RUNNER_RESULTS_DIR=%s/results %s %s 2>%s/stderr'):format(runs.root, runs.RUNNER,
    table.concat(words, ' '), runs.root))
end

t.test('a script is timed up to its first training, longer than its own plan, and leaves no run', function()
  local output, code = projected(SCRIPT, '--to', '300')
  t.equal(code, 0, output .. runs.read(runs.root .. '/stderr'))
  t.contains(output, 'timed: 10 updates, 20 micro-steps, after 3 updates of warm-up')
  t.matches(output, '\nmicro%-step +[%d.]+ ms median %(p10 [%d.]+, p90 [%d.]+%): one forward and backward\n')
  t.matches(output, '\nupdate +[%d.]+ ms median %(.-%): one step of the optimiser, after 2 micro%-steps\n')
  t.contains(output, 'tokens      8.0 a row on average without padding, at most 8, over 80 rows')
  t.matches(output, '\ncheckpoint +%S+ ?m?s? to save, [%d.]+ MB; ')
  t.matches(output, '\n10,000 +19,825 +') -- an epoch of 113 batches ends with an update of one
  t.matches(output, '\n300 updates, 595 micro%-steps: ')
  t.matches(output, '\nif started now: %a%a%a %d+ %a%a%a, ')
  t.equal(output:find('from the script', 1, true), nil)
  t.contains(runs.read(runs.root .. '/stderr'), 'from the script')
  t.equal(host.stat(runs.root .. '/results'), nil)
end)

t.test('lengths are projected one after the other, each in a process of its own', function()
  local output, code = projected(SCRIPT, '--to', '50', '--at', '16,4', '--json', 'train.accumulate=1')
  t.equal(code, 0, output .. runs.read(runs.root .. '/stderr'))
  local made = json.decode(output).projections
  t.equal(#made, 2)
  for i, length in ipairs { 16, 4 } do
    t.equal(made[i].at, length)
    t.fields(made[i].lengths, { mean = length, longest = length })
    t.fields(made[i].to, { updates = 50, micro_steps = 50 })
    t.is_true(made[i].whole.low_s <= made[i].whole.mid_s and made[i].whole.mid_s <= made[i].whole.high_s)
  end
  t.equal(host.stat(runs.root .. '/results'), nil)
end)

t.test('bad input is one clear message', function()
  local function refused(code, words, ...)
    local output, got = runs.command('project', ...)
    t.equal(got, code, output)
    t.contains(output, words)
  end
  refused(2, '--to is missing', SCRIPT)
  refused(2, "expected a whole number of at least 1, got '0'", SCRIPT, '--to', '0')
  refused(2, "expected lengths such as 512,128, got '8,x'", SCRIPT, '--to', '9', '--at', '8,x')
  refused(2, "'no.lua' does not exist", 'no.lua', '--to', '9')
  refused(3, "unknown key 'optim.rate'", SCRIPT, '--to', '9', 'optim.rate=1')
  refused(3, 'ended without a train.fit', runs.write('plain.lua', 'print(1)'), '--to', '9')
  local flat = runs.write('flat.lua', [[
local data, experiment, nn, train, torch = require 'data', require 'experiment', require 'nn', require 'train',
  require 'torch'
local cfg = experiment.config { train = { epochs = 1 } }
local x = torch.randn { 40, 3 }
train.fit { model = nn.Linear { 3, 1 }, data = data.tensors { x = x, y = x:narrow(1, 0, 1), batch = 10 }, loss = 'mse',
  options = cfg.train }]])
  refused(3, '--at needs a config with one of graph.max_len or data.seq', flat, '--to', '9', '--at', '8')
  t.equal(select(2, runs.command('project', flat, '--to', '9')), 0)
end)

t.test('while a training runs the end is an event, and a line when it moves', function()
  local said, logged = {}, {}
  local context = { accumulate = 1, print = function(text) said[#said + 1] = text end,
    log = function(fields) logged[#logged + 1] = fields end }
  local callback = require 'callbacks.projection' {}
  local function update(step, ms)
    callback.on_step(context, { step = step, steps = 1000, batches = 1000, micro_batches = 1, step_ms = ms,
      phases_ms = { forward = ms } })
  end
  for step = 1, 200 do update(step, 1000) end
  t.equal(#logged, 2)
  t.fields(logged[2], { kind = 'event', event = 'projection', step = 200 })
  t.is_true(logged[2].left_low_s <= logged[2].left_mid_s and logged[2].left_mid_s <= logged[2].left_high_s)
  t.matches(logged[2].ends, '^%d+%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$')
  said = {}
  for step = 201, 300 do update(step, 2000) end
  t.equal(#said, 1)
  t.matches(said[1], '^projection  700 updates left: .-, ends .- %d+ %% later than after update 200$')
end)

t.test('the callback trains along, and its event has what a metrics line must have', function()
  local ran = runs.run(trainings.characters(TEXT, { train = 'max_steps = 60' })
    .. "fit { callbacks = { { 'projection', every = 25 } } }")
  t.equal(ran.code, 0, ran.output)
  t.equal(#ran.lines.projection, 2)
  t.equal(ran.lines.projection[2].step, 50)
end)
