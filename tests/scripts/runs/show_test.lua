-- runner show: what is told about runs that ended well, were resumed, died, or did not get far.
local dkjson = require 'dkjson'
local host = require 'host'
local runs = require 'testing.runs'
local t = require 'testing'

local ID = '20260101-101500-a1b2c3'
local results = runs.root .. '/results'

local function make(experiment, id, files)
  t.shell(('mkdir -p %s/%s/%s'):format(results, experiment, id))
  for name, text in pairs(files) do
    if name:find '/' then t.shell(('mkdir -p %s/%s/%s/%s'):format(results, experiment, id, name:match '^(.*)/')) end
    runs.write(('results/%s/%s/%s'):format(experiment, id, name), text)
  end
end

local function show(...)
  local words = { ('RUNNER_RESULTS_DIR=%s %s show'):format(results, runs.RUNNER) }
  for _, word in ipairs { ... } do words[#words + 1] = t.quote(word) end
  return t.shell(table.concat(words, ' '))
end

-- Resumed once from step 2, with a guard in each attempt.
make('demo', ID, {
  ['manifest.json'] = [[{"format":1,"created":"2026-01-01T10:15:00.000Z","seed":7,"device":"cpu",
    "argv":["demo.lua","optim.lr=0.5"],"tags":["night"],"name":"first try",
    "data":[{"name":"shakespeare","bytes":1115394,"sha256":"sha256:86c4e6aa9db7c042"}],
    "machine":{"cpu":"Some CPU","threads":2,"cores":4,"flags":["avx2"],"host":"node-7","load_average":0.25},
    "versions":{"lanthorn":"0.1.0","luajit":"LuaJIT 2.1.0-beta3"},"source_hash":"sha256:0123456789abcdef",
    "git":{"commit":"c0ffee","dirty":true}}]],
  ['config.json'] = [[{"format":1,"values":{"optim":{"lr":0.5,"name":"adam","eps":1e-8},"train":{"seed":7}},
    "origin":{"optim.lr":"cli","optim.name":"script","optim.eps":"default","train.seed":"cell"}}]],
  ['status.json'] = [[{"format":1,"state":"DIVERGED","started":"2026-01-02T10:15:00.000Z",
    "attempt":2,"epoch":2,"step":4,"steps":10}]],
  ['exit.1.json'] = [[{"format":1,"attempt":1,"state":"INTERRUPTED","code":130,"reason":"signal 2","step":3,
    "started":"2026-01-01T10:15:00.000Z",
    "guards":[{"id":"G05","level":"warn","message":"G05 init_loss: the first loss is odd"}]}]],
  ['exit.json'] = [[{"format":1,"attempt":2,"state":"DIVERGED","code":6,
    "reason":"G23 nonfinite: the loss is nan at update 5","step":4,
    "steps":10,"started":"2026-01-02T10:15:00.000Z","ended":"2026-01-02T10:16:05.000Z","wall_s":65,"peak_rss_mb":201.4,
    "guards":[{"id":"G23","level":"error","message":"G23 nonfinite: the loss is nan at update 5"}],
    "summary":{"val_loss":{"last":1.9,"best":1.87,"best_step":2},"train_loss":{"last":60}}}]],
  ['metrics.jsonl'] = [[
{"event":"start","kind":"event","step":0,"t":1}
{"epoch":1,"event":"epoch","kind":"event","step":2,"train_loss":3,"val_loss":1.87,"tscore_mean":0.25}
{"epoch":2,"event":"epoch","kind":"event","step":4,"train_loss":9,"val_loss":9}
{"event":"resume","kind":"event","step":2,"t":5}
{"epoch":2,"event":"epoch","kind":"event","step":4,"train_loss":2,"val_loss":1.9}
]],
  ['checkpoints/step-00000002/manifest.json'] = '{"created":"2026-01-01T10:15:30.000Z"}',
  ['checkpoints/step-00000002/model.safetensors'] = ('x'):rep(2000),
})
t.shell(('cd %s/demo/%s/checkpoints && ln -s step-00000002 latest && ln -s step-00000002 best'):format(results, ID))

t.test('a run is told in full, its state and start first', function()
  local output, code = show 'demo'
  t.equal(code, 0, output)
  t.matches(output, ('^demo/%s  DIVERGED  started 2026%%-01%%-01 10:15:00 UTC\n'):format(ID:gsub('%-', '%%-')))
  for _, line in ipairs {
    'name         first try', 'tags         night', 'command      demo.lua optim.lr=0.5',
    'ended        2026-01-02 10:16:05 UTC after 1m05s',
    'why          G23 nonfinite: the loss is nan at update 5 (exit code 6)',
    'progress     4 of 10 steps, epoch 2.00', 'guards       warn: G05 init_loss: the first loss is odd',
    '             error: G23 nonfinite: the loss is nan at update 5', 'train_loss    last 60.0000  perplexity >e50',
    'val_loss      last 1.9000  best 1.8700 at step 2  perplexity 6.49', 'seed         7  device cpu',
    'data         shakespeare  1115394 bytes  sha256:86c4e6aa9db7',
    'machine      Some CPU  2 threads of 4 cores  avx2  node-7  load 0.25',
    'versions     lanthorn 0.1.0, luajit 2.1.0-beta3', 'source       sha256:0123456789ab  git c0ffee, with changes',
    'memory       201 MB at most',
    'attempts     1  INTERRUPTED  from 2026-01-01 10:15:00 UTC  to step 3  signal 2',
    '             2  DIVERGED  from 2026-01-02 10:15:00 UTC  to step 4',
    'checkpoints  step-00000002  2.0 kB  2026-01-01 10:15:30 UTC  (latest, best)',
    'checkpoints/         2.0 kB' } do
    t.contains(output, line)
  end
end)

t.test('the curve has each epoch once, that of the resumed attempt', function()
  local output = show 'demo'
  t.contains(output, '    1         2    3.0000    1.8700  0.2500  |*                              o|')
  t.contains(output, '    2         4    2.0000    1.9000      NA  |')
  t.is_false(output:find('9.0000', 1, true))
end)

t.test('the config shows where values come from, and defaults only when asked', function()
  local output = show 'demo'
  t.contains(output, "config       optim.lr = 0.5       (cli)\n")
  t.contains(output, "optim.name = 'adam'  (script)\n")
  t.contains(output, 'train.seed = 7       (cell)\n')
  t.contains(output, 'defaults: 1 more; --all shows them')
  t.is_false(output:find 'optim.eps')
  t.contains(show('demo', '--all'), 'optim.eps = 1e-08    (default)\n')
end)

t.test('as JSON a run is one object with the same', function()
  local output = show('demo', '--json')
  local run = dkjson.decode(output)
  t.equal(select(2, output:gsub('\n', '')), 1)
  t.fields(run, { run_id = ID, state = 'DIVERGED', step = 4, best_val = 1.87 })
  t.equal(#run.guards, 2)
  t.equal(#run.epochs, 2)
  t.equal(#run.attempts, 2)
  t.equal(run.config.optim.lr, 0.5)
  t.equal(run.origin['optim.lr'], 'cli')
  t.equal(run.checkpoints[1].links, 'latest, best')
end)

t.test('a run whose process is gone is dead, with its last sign of life', function()
  make('gone', '20260102-101500-a1b2c3', { ['status.json'] = [[{"format":1,"state":"RUNNING","phase":"train",
    "step":412,"steps":1000,"epoch":4.12,"attempt":1,
    "started":"2026-01-02T10:15:00.000Z","heartbeat":"2026-01-02T10:20:00.000Z"}]] })
  local output = show 'gone'
  t.matches(output, '^gone/20260102%-101500%-a1b2c3  dead  started 2026%-01%-02 10:15:00 UTC\n')
  t.contains(output,
    'why          its process ended without recording why; last sign of life 2026-01-02 10:20:00 UTC, in phase train')
  t.contains(output, 'progress     412 of 1000 steps, epoch 4.12')
  t.contains(output, 'metrics      NA\n')
end)

t.test('a run that was only just claimed is shown with NA', function()
  make('young', '20260103-101500-a1b2c3', {})
  local output, code = show '20260103'
  t.equal(code, 0, output)
  t.contains(output, 'young/20260103-101500-a1b2c3  QUEUED  started NA\n')
  t.contains(output, 'progress     NA of NA steps, epoch NA')
end)

t.test('without a word the newest run is shown', function()
  t.contains(show(), 'young/20260103-101500-a1b2c3')
end)

t.test('mistakes are told with what to do', function()
  local output, code = show 'dmeo'
  t.contains(output, "run 'dmeo' is not in '" .. results .. "'")
  t.contains(output, 'nearest: demo')
  t.equal(code, 2, output)
  make('newer', '20260104-101500-a1b2c3', { ['manifest.json'] = '{"format":2}' })
  output, code = show 'newer'
  t.contains(output,
    "manifest.json': format 2 is newer than 1, the newest this runner knows; read it with a newer runner")
  t.equal(code, 4, output)
  make('broken', '20260105-101500-a1b2c3', {
    ['metrics.jsonl'] = '{"a":\n{}\n', ['status.json'] = '{"state":"FAILED"}' })
  output, code = show 'broken'
  t.contains(output, "metrics.jsonl': line 1 is not a JSON object")
  t.equal(code, 4, output)
  t.is_true(host.stat(results .. '/broken') ~= nil)
end)

t.test('guard G03: memory that is unknown is NA', function()
  make('unknown', ID, { ['manifest.json'] = '{"format":1}', ['metrics.jsonl'] = '',
    ['status.json'] = '{"format":1,"state":"FINISHED"}',
    ['exit.json'] = [[{"format":1,"state":"FINISHED","code":0,"ended":"2026-01-02T10:16:05.000Z",
      "peak_rss_mb":null,"guards":[]}]] })
  t.matches((show 'unknown/latest'), 'memory +NA\n')
end)
