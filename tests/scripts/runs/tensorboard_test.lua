-- TensorBoard event files, read back by a parser that shares no code with their writer.
local event_file = require 'testing.event_file'
local native = require 'lanthorn'
local runs = require 'testing.runs'
local t = require 'testing'

t.test('the checksums of the parser have the known answers', function()
  t.equal(event_file.crc32c '123456789', 0xe3069283)
  t.equal(event_file.masked_crc32c '123456789', 0xc78ab0e5)
end)

t.test('lines come back with tag, step, time and value', function()
  local path = runs.root .. '/events'
  local writer = native.run.event_file(path, 1795264999.25)
  writer:write { kind = 'train', step = 1, t = 1795265000.5, loss = 0.1, lr = 2e-3, tokens_backprop = 6400,
    phase_ms = { forward = 80.25 } }
  writer:write { kind = 'event', event = 'guard', step = 1, t = 1795265001, value = 3 }
  writer:write { kind = 'train', step = 300, t = 1795265002, loss = 0 / 0, grad_norm = math.huge }
  writer:write { kind = 'event', event = 'resume', step = 299, t = 1795265003 }
  writer:write { kind = 'eval', split = 'val', step = 300, t = 1795265004, loss = -1e-3, n = 5, of = 6 }
  local events = event_file.read(path)
  t.equal(#events, 5)
  t.equal(events[1], { wall_time = 1795264999.25, step = 0, file_version = 'brain.Event:2' })
  t.equal(events[2].step, 1)
  t.equal(events[2].wall_time, 1795265000.5)
  t.near(events[2].scalars['train/loss'], 0.1, 1e-8) -- float32
  t.equal(events[2].scalars['train/tokens_backprop'], 6400)
  t.equal(events[2].scalars['phase_ms/forward'], 80.25)
  t.equal(events[3].step, 300)
  t.equal(events[3].scalars, { ['train/loss'] = 0 / 0, ['train/grad_norm'] = math.huge })
  t.equal(events[4], { wall_time = 1795265003, step = 300, session_log = 1 })
  t.near(events[5].scalars['eval/val/loss'], -1e-3, 1e-9)
  t.equal(events[5].scalars['eval/val/of'], 6)
end)

t.test('the parser refuses a changed byte and a record cut short', function()
  local path = runs.root .. '/damaged'
  native.run.event_file(path, 1)
  local text = runs.read(path)
  for _, damaged in ipairs { text:sub(1, 14) .. '\255' .. text:sub(16), text:sub(1, -2), '\1' .. text:sub(2) } do
    t.error_matches(function() event_file.read(runs.write('damaged', damaged)) end,
      'record 1 has a wrong checksum or is cut short')
  end
end)

local SCRIPT = [[
local experiment, data, train = require 'experiment', require 'data', require 'train'
local nn, torch = require 'nn', require 'torch'
local cfg = experiment.config { train = { epochs = 2, seed = 1 }, optim = { lr = 0.1 } }
local x, y = torch.randn { 8, 3 }, torch.arange(8):remainder(2)
train.fit { model = nn.Sequential { nn.Linear { 3, 2 } }, data = data.tensors { x = x, y = y, batch = 4 },
  optim = cfg.optim, options = cfg.train, callbacks = { CALLBACKS } }
]]

t.test('the callback leaves one event file of the attempt with the numbers of metrics.jsonl', function()
  local ran = runs.run((SCRIPT:gsub('CALLBACKS', "'tensorboard'")))
  t.equal(ran.code, 0, ran.output)
  local name = t.shell('cd ' .. ran.folder .. ' && ls -d events*'):match('^(.*)\n$')
  t.matches(name,
    '^events%.out%.tfevents%.%d%d%d%d%d%d%d%d%d%d%.' .. require('host').hostname():gsub('%p', '%%%0') .. '%.%d+%.1$')
  t.contains(ran.output, 'events    ' .. name)
  local events, tags = event_file.read(ran.folder .. '/' .. name), {}
  for _, event in ipairs(events) do
    for tag, value in pairs(event.scalars or {}) do tags[('%s@%d'):format(tag, event.step)] = value end
  end
  t.is_true(#ran.lines.train > 1)
  for _, line in ipairs(ran.lines.train) do
    t.near(tags['train/loss@' .. line.step], line.loss, 1e-6)
    t.near(tags['train/lr@' .. line.step], line.lr, 1e-6)
    t.is_true(tags['phase_ms/backward@' .. line.step] ~= nil)
  end
  t.near(tags['epoch/train_loss@' .. ran.lines.epoch[2].step], ran.lines.epoch[2].train_loss, 1e-6)
end)

t.test('an option of the callback that does not exist is exit 3', function()
  local ran = runs.run((SCRIPT:gsub('CALLBACKS', "{ 'tensorboard', folder = 'x' }")))
  t.equal(ran.code, 3, ran.output)
  t.contains(ran.output, "callback tensorboard: unknown option 'folder'")
end)
