local host = require 'host'
local run_files = require 'runs.files'
local t = require 'testing'

local function make_root()
  local root = t.temporary_folder()
  local function run(id, files)
    local path = ('%s/demo/%s'):format(root, id)
    t.shell('mkdir -p ' .. path)
    for name, text in pairs(files) do
      local file = assert(io.open(path .. '/' .. name, 'w'))
      file:write(text)
      file:close()
    end
  end
  local me = ('"host": "%s", "heartbeat": "%s"'):format(host.hostname(), os.date('!%Y-%m-%dT%H:%M:%S.000Z'))
  run('20260101-000000-aaaaaa', { ['status.json'] = '{"state": "RUNNING"}', ['exit.json'] = [[
    {"state": "FINISHED", "step": 9, "code": 0,
    "summary": {"val_loss": {"best": 1.5, "best_step": 8, "last": 1.6}},
    "guards": [{"id": "G05", "message": "a"}, {"id": "G05", "message": "b"}, {"id": "G23", "message": "c"}]}]] })
  run('20260101-000001-aaaaaa', { ['status.json'] = '{"state": "RUNNING", "step": 4, "steps": 10, ' .. me .. '}' })
  run('20260101-000002-aaaaaa', { ['status.json'] =
    '{"state": "RUNNING", "step": 4, "heartbeat": "2020-01-01T00:00:00.000Z"}' })
  run('20260101-000003-aaaaaa', {})
  local two_hours_ago = os.date('!%Y-%m-%dT%H:%M:%S.000Z', os.time() - 7300)
  run('20260101-000006-aaaaaa', { ['manifest.json'] = ('{"created": "%s"}'):format(two_hours_ago) })
  local boot_id = t.shell('cat /proc/sys/kernel/random/boot_id'):gsub('%s', '')
  run('20260101-000004-aaaaaa', {
    ['status.json'] = ([[{"state": "RUNNING", "step": 412, "steps": 1000, "pid": 999999999, "boot_id": "%s", %s}]])
      :format(boot_id, me),
    ['metrics.jsonl'] = [[
{"kind":"eval","split":"val","loss":2.25,"step":4}
{"kind":"eval","split":"val","loss":2.5,"step":8}
{"kind":"event","event":"guard","id":"G16","step":8}
{"kind":"ev]] })
  run('20260101-000005-aaaaaa', {
    ['status.json'] = '{"state": "FAILED", "step": 1}', ['metrics.jsonl'] = 'rubbish\n{}\n' })
  t.shell(('mkdir -p %s/demo/sweep-x'):format(root))
  return root
end

t.test('times of files are read as seconds', function()
  t.equal(run_files.seconds('1970-01-01T00:00:00.000Z'), 0)
  t.equal(run_files.seconds('2024-02-29T12:00:01.500Z'), 1709208001.5)
  t.equal(run_files.seconds('yesterday'), nil)
end)

t.test('runs are listed with the state they are in', function()
  local root = make_root()
  local output = t.shell(('RUNNER_RESULTS_DIR=%s %s/runner ls'):format(root, host.folder))
  t.matches(output, '000000%-aaaaaa  FINISHED     9 steps             best val 1.5000          NA  NA  G05 G23\n')
  t.matches(output, '000001%-aaaaaa  RUNNING      4 of 10 steps       best val NA ')
  t.matches(output, '000002%-aaaaaa  dead         4 of NA steps       best val NA ')
  t.matches(output, '000003%-aaaaaa  QUEUED       NA                  best val NA ')
  t.matches(output, '000004%-aaaaaa  dead         412 of 1000 steps   best val 2.2500          NA  NA  G16\n')
  t.matches(output, '000005%-aaaaaa  FAILED       1 of NA steps       best val NA ')
  t.matches(output,
    '000006%-aaaaaa  QUEUED       NA                  best val NA          2h ago  %d+%-%d+%-%d+ %d+:%d+:%d+ UTC\n')
  t.is_false(output:find('sweep'), 'sweep folders are not runs')
  local json = t.shell(('RUNNER_RESULTS_DIR=%s %s/runner ls demo --json | head -1'):format(root, host.folder))
  local row = require('dkjson').decode(json)
  t.fields(row, { state = 'FINISHED', run_id = '20260101-000000-aaaaaa', best_val = 1.5, best_step = 8 })
  t.equal(#row.guards, 3)
  local message, code = t.shell(('RUNNER_RESULTS_DIR=%s %s/runner ls dmeo'):format(root, host.folder))
  t.contains(message, "no runs of 'dmeo' in '" .. root .. "'; nearest: demo")
  t.equal(code, 2)
  t.contains(t.shell(('RUNNER_RESULTS_DIR=%s/none %s/runner ls'):format(root, host.folder)),
    ("no runs in '%s/none'"):format(root))
end)

t.test('a torn file is not a state', function()
  t.equal(run_files.read_json(t.write_file('{"state": "RUN', '.json')), nil)
end)
