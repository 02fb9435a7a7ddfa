-- Lines of metrics.jsonl: one schema for writers and readers (G28), units (G29), one meaning for one name (G33);
-- callbacks that cannot act (G34) and values that are not there (G46).
local fail = require 'fail'
local metrics_schema = require 'runs.columns'
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'
local trainings = require 'testing.trainings'

local TEXT = runs.write('letters.txt', texts.letters(1800))

local HEAD = trainings.characters(TEXT, {
  train = 'epochs = 1, max_steps = 12', more = 'tscore = { every = 1 }' }) .. [[
local function fit_with(...) return fit { callbacks = { ... } } end
]]

local function run(body, ...)
  return runs.run(HEAD .. body, ...)
end

t.test('guard G28: every line that a run writes fits the schema', function()
  local ran = run([[
fit_with { on_epoch = function(ctx) ctx.log { kind = 'event', event = 'mine', sharpness_nats = 1 } end }]],
    'train.max_steps=100', 'train.epochs=2', 'tscore.samples=true', 'tscore.groups=module')
  t.equal(ran.code, 0, ran.output)
  local seen = {}
  for _, row in ipairs(runs.rows(ran.folder .. '/metrics.jsonl')) do
    seen[row.event or row.kind] = row
    t.equal(metrics_schema.missing(row), nil)
    local columns = metrics_schema.columns(row.event or row.kind)
    for name in pairs(columns and row.kind ~= 'event' and row or {}) do
      t.is_true(name == 'kind' or columns[name] ~= nil, ('column %s of %s'):format(name, row.kind))
    end
    for name in pairs(row.event == 'epoch' and row or {}) do
      t.is_true(name == 'kind' or name == 'event' or columns[name] ~= nil, 'column ' .. name .. ' of epoch')
    end
  end
  t.is_true(seen.train and seen.eval and seen.epoch and seen.mine and true)
  t.is_true(seen.epoch.lua_mb > 0 and seen.epoch.rss_peak_mb >= seen.epoch.tensor_mb)
end)

t.test('guard G28: a renamed column stops readers with file and line', function()
  local ran = run 'fit_with()'
  local path = ran.folder .. '/metrics.jsonl'
  local rows = runs.rows(path)
  local file = assert(io.open(path, 'wb'))
  for _, row in ipairs(rows) do
    if row.kind == 'train' and row.step == 3 then row.los, row.loss = row.loss, nil end
    file:write(require('dkjson').encode(row), '\n')
  end
  file:close()
  local exporting = { 'export', '--format', 'csv', '--out', runs.root .. '/exported' }
  for _, words in ipairs { exporting, { 'compare', '--metric', 'loss' } } do
    words[#words + 1] = ran.folder
    local output, code = t.runner(unpack(words))
    t.equal(code, 4, output)
    t.matches(output, "G28 schema: '.*metrics.jsonl': line %d+ %(train%) has no column 'loss'; nearest: los")
  end
end)

t.test('guard G29: names of numbers end in a unit, and the right ones are shown', function()
  for name, right in pairs { time = 'time_s, time_ms', memory = 'memory_mb', accuracy = 'accuracy_pct',
    elapsed_seconds = 'elapsed_s', steps_count = 'steps_n', sharpness = 'sharpness_s' } do
    local err = t.error_matches(function() metrics_schema.check_names { kind = 'train', [name] = 1 } end,
      ("G29 units: the metric '%s' has no unit in its name; use %s"):format(name, right))
    t.equal(fail.code_of(err), 3)
  end
  metrics_schema.check_names { kind = 'event', event = 'x', step = 1, note = 'text', on = true, wait_s = 1,
    my_loss = 2, tscore_mean = 1, phase_ms = { forward = 1 }, hits_n = 3, speed_tok_s = 1 }
  t.error_matches(function() metrics_schema.check_names { probe = { curvature = 1 } } end, 'curvature')
  for _, log in ipairs { 'ctx.log', 'ctx.run:log' } do
    local callback = "{ on_step = function(ctx) %s { kind = 'event', event = 'mine', time = 1 } end }"
    local ran = run(('fit_with ' .. callback):format(log))
    t.equal(ran.code, 3, ran.output)
    t.contains(ran.output, "G29 units: the metric 'time' has no unit in its name; use time_s, time_ms")
  end
end)

t.test('guard G33: two callbacks that log one metric stop, as does one that takes a name of the trainer', function()
  local callback = [[
{ name = '%s', on_step = function(ctx, r) ctx.log { kind = 'event', event = 'probe', %s = r.step } end }]]
  local ran = run(('fit_with(%s, %s)'):format(callback:format('a', 'depth_n'), callback:format('b', 'depth_n')))
  t.equal(ran.code, 3, ran.output)
  t.contains(ran.output, "G33 one_metric: the metric 'probe/depth_n' is logged by callback 'a' and by callback 'b'")
  t.equal(run(('fit_with(%s, %s)'):format(callback:format('a', 'depth_n'), callback:format('b', 'width_n'))).code, 0)
  ran = run [[
fit_with { name = 'c', on_step = function(ctx, r) ctx.log { kind = 'train', step = r.step, loss = 0 } end }]]
  t.equal(ran.code, 3, ran.output)
  t.contains(ran.output, "'train/loss' is logged by the trainer and by callback 'c'")
  t.equal(run("fit_with({ 'tscore', batches = 1 }, { 'tscore', batches = 2 })", 'train.max_steps=0').code, 3)
end)

t.test('guard G34: a threshold that the metric cannot reach is refused', function()
  local sleep = "{ name = 'sleep', threshold = 0.3, metric = function(score) return %s end }"
  local ran = run(('fit_with(%s)'):format(sleep:format '1 / (1 + math.exp(-score.t))'))
  t.equal(ran.code, 3, ran.output)
  t.equal(ran.folder, nil)
  t.contains(ran.output,
    "G34 reachable: callback 'sleep': threshold 0.3, but its metric spans 0.50-0.73 on identical, opposite and random")
  t.equal(run(('fit_with(%s)'):format(sleep:format 'score.t')).code, 0)
  t.contains(run(('fit_with(%s)'):format(sleep:format 'nil')).output, 'its metric has no value')
  ran = run(('fit_with(%s)'):format(sleep:format '1 / (1 + math.exp(-score.t))'), 'guards.reachable=warn')
  t.equal(ran.code, 0, ran.output)
  t.fields(ran.lines.guard[1], { id = 'G34', level = 'warn' })
  t.equal(run(('fit_with(%s)'):format(sleep:format '1 / (1 + math.exp(-score.t))'), 'guards.reachable=off').code, 0)
  t.contains(run("fit_with { name = 'x', threshold = 1 }").output, "callback 'x': a threshold needs a metric")
end)

t.test('guard G34: the probe inputs are those of the formula', function()
  local scores = require('guards.callback_threshold').scores(4)
  t.equal(scores[1].t, 0)
  t.equal(scores[2].t, 1)
  t.equal(scores[3].t, 0.75)
  t.fields(scores[1].noise, { trace = 0, signal = 1 })
  t.fields(scores[3].noise, { trace = 1, signal = 0 })
end)

t.test('guard G46: a value that is not there triggers nothing', function()
  local stop = require 'callbacks.early_stop' { patience = 1 }
  local logged = 0
  local ctx = { log = function() logged = logged + 1 end }
  t.equal(stop.on_epoch(ctx, { val_loss = 2, step = 1 }), nil)
  for _, value in ipairs { 0 / 0, 0 / 0 } do t.equal(stop.on_epoch(ctx, { val_loss = value, step = 2 }), nil) end
  t.equal(stop.on_epoch(ctx, { step = 3 }), nil)
  t.equal(logged, 0)
  t.equal(stop.on_epoch(ctx, { val_loss = 2, step = 4 }), 'stop') -- a value that is there and no better
end)

t.test('guard G46: T-Score of one sample or of no gradient is null in the metrics, never a perfect score', function()
  local ran = runs.run([[
local data, nn, torch, train = require 'data', require 'nn', require 'torch', require 'train'
torch.manual_seed(1)
local x = torch.randn { 4, 3 }
train.fit { model = nn.Linear { 3, 1 }, data = data.tensors { x = x, y = x:sum { dim = 1, keepdim = true }, batch = 1 },
  loss = function(m, a, b) return torch.mse_loss(m(a), b) end, tscore = { every = 1 } }]])
  t.equal(ran.code, 0, ran.output)
  for _, row in ipairs(ran.lines.train) do
    t.equal(row.tscore, nil)
    t.equal(row.tscore_status, 'too_few')
  end
  t.equal(ran.lines.epoch[1].tscore_undefined_n, 4)
end)
