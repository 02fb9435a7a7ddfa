-- runner export: what other programs get of a run. The run is resumed from step 2, has a NaN and a torn last line.
local event_file = require 'testing.event_file'
local host = require 'host'
local runs = require 'testing.runs'
local t = require 'testing'

local ID = '20260101-101500-a1b2c3'
local RUN = runs.root .. '/results/demo/' .. ID
local FILES = {
  ['manifest.json'] = [[{"format":1,"run_id":"20260101-101500-a1b2c3","experiment":"demo",
    "created":"2026-01-01T10:15:00.000Z","name":"it's","argv":["demo.lua"],"tags":["a","b"],
    "git":{"commit":"c0ffee","dirty":false},"config_hash":"sha256:12","device":"cpu"}]],
  ['config.json'] = [[{"format":1,
    "values":{"optim":{"lr":0.002,"name":"adam"},"train":{"seed":1},"list":[1,2],"off":false}}]],
  ['status.json'] = '{"format":1,"state":"FINISHED","started":"2026-01-01T10:15:00.000Z","host":"node-7","pid":4711}',
  ['exit.json'] = [[{"format":1,"state":"DIVERGED","code":6,"step":3,"started":"2026-01-01T10:15:00.000Z",
    "ended":"2026-01-01T10:16:00.250Z"}]],
  ['metrics.jsonl'] = [[
{"event":"start","kind":"event","step":0,"t":1767262500.5}
{"epoch":0.25,"kind":"train","loss":4.5,"phase_ms":{"forward":1.5},"step":1,"t":1767262501}
{"epoch":0.5,"kind":"train","loss":4.25,"phase_ms":{"forward":2},"step":2,"t":1767262502}
{"epoch":0.75,"kind":"train","loss":99,"step":3,"t":1767262503}
{"kind":"eval","loss":98,"split":"val","step":3,"t":1767262503.5}
{"event":"resume","kind":"event","step":2,"t":1767262510}
{"epoch":0.75,"kind":"train","loss":null,"nonfinite":{"loss":"nan"},"step":3,"t":1767262511,]]
    .. [["tscore":0.5,"tscore_status":"a \"b\", c"}
{"kind":"eval","loss":4.125,"split":"val","step":3,"t":1767262511.5}
{"best":true,"epoch":1,"event":"epoch","kind":"event","step":3,"t":1767262512,"val_loss":4.125}
{"kind":"tra]],
}

t.shell('mkdir -p ' .. RUN)
for name, text in pairs(FILES) do runs.write('results/demo/' .. ID .. '/' .. name, text) end

local function export(...)
  local words = { ('cd %s && RUNNER_RESULTS_DIR=results %s export'):format(runs.root, runs.RUNNER) }
  for _, word in ipairs { ... } do words[#words + 1] = t.quote(word) end
  return t.shell(table.concat(words, ' '))
end

local function files(folder)
  return (t.shell(('cd %s && find . -type f | sort'):format(folder)))
end

t.test('csv is a table of train lines and one of eval lines, without what is void', function()
  local output, code = export('latest', '--format', 'csv')
  t.equal(code, 0, output)
  t.contains(output, ('demo/%s  DIVERGED  started 2026-01-01 10:15:00 UTC\n'):format(ID))
  t.contains(output, ('export/demo/%s/train.csv\t3\n'):format(ID))
  local folder = ('%s/export/demo/%s/'):format(runs.root, ID)
  t.equal(runs.read(folder .. 'train.csv'), [[
step,t,epoch,loss,phase_ms.forward,tscore,tscore_status
1,1767262501,0.25,4.5,1.5,,
2,1767262502,0.5,4.25,2,,
3,1767262511,0.75,nan,,0.5,"a ""b"", c"
]])
  t.equal(runs.read(folder .. 'eval.csv'), 'step,t,split,loss\n3,1767262511.5,val,4.125\n')
  t.equal(files(folder), './eval.csv\n./train.csv\n')
end)

t.test('tensorboard is one event file of the run with its numbers', function()
  local output, code = export('demo', '--format', 'tensorboard', '--out', 'tb/x')
  t.equal(code, 0, output)
  t.equal(files(runs.root .. '/tb/x'), './events.out.tfevents.1767262500.node-7.4711.1\n')
  local events = event_file.read(runs.root .. '/tb/x/events.out.tfevents.1767262500.node-7.4711.1')
  t.equal(events[1], { wall_time = 1767262500.5, step = 0, file_version = 'brain.Event:2' })
  t.equal(events[3], { wall_time = 1767262502, step = 2,
    scalars = { ['train/epoch'] = 0.5, ['train/loss'] = 4.25, ['phase_ms/forward'] = 2 } })
  t.equal(events[4].scalars, { ['train/epoch'] = 0.75, ['train/loss'] = 0 / 0, ['train/tscore'] = 0.5 })
  t.equal(events[5].scalars, { ['eval/val/loss'] = 4.125 })
  t.equal(events[6].scalars, { ['epoch/epoch'] = 1, ['epoch/val_loss'] = 4.125 })
  t.equal(#events, 6)
end)

t.test("mlflow is a run in MLflow's file store, its metrics named as in TensorBoard", function()
  local output, code = export(ID, '--format', 'mlflow', '--out', 'ml')
  t.equal(code, 0, output)
  local id = t.shell('ls ' .. runs.root .. '/ml'):match '^(%d+)\n$'
  local folder = ('%s/ml/%s/%s'):format(runs.root, id, ID)
  t.equal(files(folder), [[
./meta.yaml
./metrics/epoch/epoch
./metrics/epoch/val_loss
./metrics/eval/val/loss
./metrics/phase_ms/forward
./metrics/train/epoch
./metrics/train/loss
./metrics/train/tscore
./params/list
./params/off
./params/optim.lr
./params/optim.name
./params/train.seed
./tags/lanthorn.config_hash
./tags/lanthorn.device
./tags/lanthorn.state
./tags/lanthorn.tags
./tags/mlflow.runName
./tags/mlflow.source.git.commit
./tags/mlflow.source.name
./tags/mlflow.source.type
]])
  t.equal(runs.read(folder .. '/metrics/train/loss'),
    '1767262501000 4.5 1\n1767262502000 4.25 2\n1767262511000 nan 3\n')
  t.equal(runs.read(folder .. '/params/optim.lr'), '0.002')
  t.equal(runs.read(folder .. '/params/list'), '[1,2]')
  t.equal(runs.read(folder .. '/tags/lanthorn.state'), 'DIVERGED')
  local meta = runs.read(folder .. '/meta.yaml')
  t.contains(meta, ("run_id: '%s'\n"):format(ID))
  t.contains(meta, "run_name: 'it''s'\n")
  t.contains(meta, 'start_time: 1767262500000\nstatus: 4\n')
  t.contains(meta, 'end_time: 1767262560250\n')
  t.contains(meta, ("artifact_uri: 'file://%s/artifacts'\n"):format(host.realpath(folder)))
  t.contains(runs.read(('%s/ml/%s/meta.yaml'):format(runs.root, id)), ("experiment_id: '%s'"):format(id))
end)

t.test('an experiment that the store has under another id keeps that id', function()
  t.shell(('mkdir -p %s/store/7'):format(runs.root))
  runs.write('store/7/meta.yaml', "experiment_id: '7'\nname: demo\n")
  export(ID, '--format', 'mlflow', '--out', 'store')
  t.is_true(host.stat(('%s/store/7/%s/meta.yaml'):format(runs.root, ID)) ~= nil)
end)

t.test('nothing is overwritten without --force', function()
  for _, format in ipairs { 'csv', 'tensorboard', 'mlflow' } do
    local out = 'again-' .. format
    local _, code = export(ID, '--format', format, '--out', out)
    t.equal(code, 0)
    local before = files(runs.root .. '/' .. out)
    local output, again = export(ID, '--format', format, '--out', out)
    t.equal(again, 2)
    t.contains(output, 'exists; choose another folder with --out, or replace it with --force')
    t.equal(select(2, export(ID, '--format', format, '--out', out, '--force')), 0)
    t.equal(files(runs.root .. '/' .. out), before)
  end
end)

t.test("a folder with another run's events is refused, because TensorBoard would draw both as one", function()
  t.shell(('mkdir -p %s/other && touch %s/other/events.out.tfevents.1.h.1.1'):format(runs.root, runs.root))
  local output, code = export(ID, '--format', 'tensorboard', '--out', 'other', '--force')
  t.equal(code, 2, output)
  t.contains(output,
    "'other' holds events.out.tfevents.1.h.1.1, and TensorBoard draws all files of a folder as one run")
end)

t.test('mistakes are told with what to do', function()
  local function expect(code, text, ...)
    local output, got = export(...)
    t.contains(output, text)
    t.equal(got, code)
  end
  expect(2, "export: unknown format 'tensorbord'; nearest: tensorboard", ID, '--format', 'tensorbord')
  expect(2, 'export: no format given; add --format with one of csv, mlflow, tensorboard', ID)
  expect(2, "run 'dmeo' is not in 'results'", 'dmeo', '--format', 'csv')
  expect(2, "'results/demo/" .. ID .. "/exit.json' is a file where a folder is needed", ID, '--format', 'csv', '--out',
    'results/demo/' .. ID .. '/exit.json')
  t.shell(('mkdir -p %s/results/young/20260102-101500-a1b2c3'):format(runs.root))
  runs.write('results/young/20260102-101500-a1b2c3/status.json', '{"state":"QUEUED"}')
  for _, format in ipairs { 'csv', 'tensorboard', 'mlflow' } do
    expect(4, 'metrics.jsonl\': cannot be read', 'young', '--format', format, '--out', 'young')
  end
  runs.write('results/young/20260102-101500-a1b2c3/metrics.jsonl', '{"event":"start","kind":"event","step":0,"t":1}\n')
  expect(4, 'has no train or eval line to export', 'young', '--format', 'csv')
  expect(4, 'has no train or eval line to export', 'young', '--format', 'tensorboard')
  t.is_false(host.stat(runs.root .. '/young'))
end)
