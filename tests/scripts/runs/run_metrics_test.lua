-- The same cases as tests/engine/run/metrics/metrics_reader_test.cc: both readers hide the same lines.
local run_metrics = require 'runs.metrics'
local runs = require 'testing.runs'
local t = require 'testing'

local folder = runs.root .. '/run'
t.shell('mkdir ' .. folder)

local function read(text, kinds)
  runs.write('run/metrics.jsonl', text)
  local lines = {}
  for line in run_metrics.lines(folder, kinds) do lines[#lines + 1] = line end
  return lines
end

t.test('an empty file has no lines', function()
  t.equal(read '', {})
end)

t.test('a torn last line is left out wherever it is cut', function()
  local whole, last = '{"a":1}\n', '{"b":{"c":[1,2]},"d":"x"}'
  for cut = 1, #last - 1 do t.equal(read(whole .. last:sub(1, cut)), { { a = 1 } }) end
  t.equal(#read(whole .. last), 2)
  t.equal(#read(whole .. last .. '\n'), 2)
  t.equal(#read '{"a', 0)
end)

t.test('damage before the last line is a data error with its line', function()
  local err = t.error_matches(function() read '{"a":1}\n{"b"\n{"c":3}\n' end,
    "metrics.jsonl': line 2 is not a JSON object")
  t.equal(require('fail').code_of(err), 4)
  t.error_matches(function() read '[1]\n{}\n' end, 'line 1 is not')
  t.error_matches(function() read '{}\n{"a":1} x\n{}\n' end, 'line 2 is not')
  t.error_matches(function() read '{}\nnull\n' end, 'line 2 is not')
end)

t.test('lines above the step of a resume are void', function()
  local lines = read [[
{"kind":"train","loss":1,"step":10}
{"kind":"event","event":"checkpoint","step":10}
{"kind":"train","loss":1,"step":11}
{"kind":"eval","loss":1,"split":"val","step":12}
{"kind":"event","event":"guard","step":12}
{"kind":"event","event":"epoch","epoch":1,"step":12}
{"kind":"event","event":"resume","step":10}
{"kind":"train","loss":1,"step":11,"again":true}
]]
  t.equal(#lines, 5)
  t.equal(lines[1].step, 10)
  t.equal(lines[3].event, 'guard')
  t.equal(lines[5].again, true)
end)

t.test('a second resume from further back voids lines of both attempts before it', function()
  local steps = {}
  for _, line in ipairs(read [[
{"kind":"train","loss":1,"step":1}
{"kind":"train","loss":1,"step":2}
{"kind":"train","loss":1,"step":3}
{"kind":"event","event":"resume","step":2}
{"kind":"train","loss":1,"step":3}
{"kind":"event","event":"resume","step":1}
{"kind":"train","loss":1,"step":2}
]]) do steps[#steps + 1] = line.kind == 'train' and line.step or line.event end
  t.equal(steps, { 1, 'resume', 'resume', 2 })
end)

t.test('lines of the wanted kinds come alone, and void ones of them do not', function()
  local text = [[
{"kind":"train","loss":1,"step":1}
{"kind":"eval","loss":1,"split":"val","step":2}
{"kind":"eval","loss":1,"split":"val","step":1}
{"kind":"event","event":"resume","step":1}
{"kind":"train","loss":1,"step":2}
]]
  t.equal(read(text, { eval = true }), { { kind = 'eval', loss = 1, split = 'val', step = 1 } })
  t.equal(read(text, { train = true }),
    { { kind = 'train', loss = 1, step = 1 }, { kind = 'train', loss = 1, step = 2 } })
end)

t.test('numbers that JSON cannot hold come back, and null is absent', function()
  local line = read([[
{"loss":null,"lr":null,"nonfinite":{"loss":"nan","phase_ms.data":"-inf","xs.2":"inf"},]]
    .. [["phase_ms":{"data":null,"step":1},"xs":[1,null]}
]])[1]
  t.equal(line, { loss = 0 / 0, phase_ms = { data = -math.huge, step = 1 }, xs = { 1, math.huge } })
end)

t.test('a missing file is a data error', function()
  t.error_matches(function() run_metrics.lines(runs.root .. '/none') end,
    "none/metrics.jsonl': cannot be read: No such file or directory; a run")
end)

t.test('a run of a newer format is refused', function()
  runs.write('run/manifest.json', '{"format": 2}')
  t.error_matches(function() read '{}\n' end, "manifest.json': format 2 is newer than 1, the newest this runner knows")
  runs.write('run/manifest.json', '{"format": 1, "unknown": {}}')
  t.equal(#read '{}\n', 1)
end)
