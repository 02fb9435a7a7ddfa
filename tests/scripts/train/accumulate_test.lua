-- train.accumulate, tscore.samples and tscore.groups as users set them: plan, metrics.jsonl, summary, callbacks.
local runs = require 'testing.runs'
local t = require 'testing'

-- 10 batches of 4 rows; the labels are learnable.
local SCRIPT = [[
local experiment, data, train = require 'experiment', require 'data', require 'train'
local torch, nn = require 'torch', require 'nn'
local cfg = experiment.config { train = { epochs = 2, seed = 3 }, tscore = { every = 1 }, optim = { lr = 0.05 },
  eval = { off = true }, guards = { init_loss = 'off' }, data = { batch = 4 } }
local x = torch.randn { 40, 3 }
local batches = data.tensors { x = x, y = x:argmax { dim = 1 }, batch = cfg.data.batch }
local net = nn.Sequential { { 'body', nn.Linear { 3, 8 } }, { 'act', nn.Tanh {} }, { 'head', nn.Linear { 8, 3 } } }
local updates = {}
local watch = { every = 1, on_step = function(_, record) updates[#updates + 1] = record.micro_batches end }
local fit = train.fit { model = net, data = batches, tscore = cfg.tscore, options = cfg.train, optim = cfg.optim,
  callbacks = { watch } }
print('updates ' .. table.concat(updates, ' '), fit.steps, fit.noise and fit.noise.n)]]

-- Runs the script with these settings. Gives output, exit code and the lines of metrics.jsonl by kind.
local function run(...)
  local ran = runs.run(SCRIPT, ...)
  return ran.output, ran.code, ran.lines
end

t.test('accumulate makes one update of several batches, and the plan says so', function()
  local output, code, lines = run 'train.accumulate=4'
  t.equal(code, 0, output)
  t.matches(output,
    'plan%s+2 epochs x 10 batches, 6 updates %(20 micro%-steps%), 80 targets; 4 micro%-steps an update, '
    .. '2 in the last of an epoch')
  t.matches(output, 'done%s+2 epochs, 6 updates %(20 micro%-steps%) in ')
  t.contains(output, 'updates 4 4 2 4 4 2\t6\t6')
  t.equal(#lines.train, 6)
  for i, row in ipairs(lines.train) do
    t.fields(row, { step = i, tscore_n = i % 3 == 0 and 8 or 16, micro_batches = i % 3 == 0 and 2 or 4 })
  end
  t.equal(lines.train[2].tokens_backprop, 32)
  t.equal(lines.train[3].tokens_backprop, 40)
  t.equal(lines.train[6].tokens_backprop, 80)
end)

t.test('four batches of 4 score as one of 16', function()
  local _, _, small = run('train.accumulate=4', 'train.max_steps=1')
  local _, _, large = run('data.batch=16', 'train.max_steps=1')
  local a, b = small.train[1], large.train[1]
  t.equal(a.tscore_n, 16)
  t.equal(b.tscore_n, 16)
  t.equal(b.micro_batches, nil)
  for _, name in ipairs { 'loss', 'grad_norm', 'tscore', 'tscore_s', 'tscore_q', 'noise_trace', 'noise_signal' } do
    t.is_true(a[name] and math.abs(a[name] - b[name]) < 1e-4 * math.abs(b[name]), name)
  end
end)

t.test('max_steps and the schedule count updates', function()
  local output, code, lines = run('train.accumulate=3', 'train.max_steps=5', 'optim.schedule=linear')
  t.equal(code, 0, output)
  t.contains(output, '5 updates (13 micro-steps), 52 targets')
  t.contains(output, 'max_steps: 5 of 8 updates')
  t.near(lines.train[5].lr, 0.05 * (1 - 4 / 5), 1e-9)
end)

t.test('sample norms and groups are in the metrics on request only', function()
  local _, _, bare = run()
  t.equal(bare.train[1].tscore_sample_sq, nil)
  t.equal(bare.train[1].tscore_groups, nil)
  local _, code, lines = run('tscore.samples=true', 'tscore.groups=module', 'train.accumulate=2')
  t.equal(code, 0)
  local row = lines.train[1]
  t.equal(#row.tscore_sample_sq, 8)
  local sum = 0
  for _, square in ipairs(row.tscore_sample_sq) do sum = sum + square end
  t.near(sum, row.tscore_q, 1e-9 * sum)
  local body, head = row.tscore_groups.body, row.tscore_groups.head
  t.near(body.q + head.q, row.tscore_q, 1e-9 * sum)
  t.near(body.s + head.s, row.tscore_s, 1e-9 * sum)
  t.near(head.tscore, 1 - head.s / (8 * head.q), 1e-12)
  local _, _, named = run('tscore.groups=parameter', 'tscore.mode=loop', 'train.max_steps=1')
  local names = {}
  for name in pairs(named.train[1].tscore_groups) do names[#names + 1] = name end
  table.sort(names)
  t.equal(names, { 'body.bias', 'body.weight', 'head.bias', 'head.weight' })
end)

t.test("an epoch's noise scale is the quotient of the means", function()
  local output, _, lines = run 'train.epochs=1'
  local trace, signal = 0, 0
  for _, row in ipairs(lines.train) do
    trace, signal = trace + row.noise_trace / 10, signal + row.noise_signal / 10
    t.equal(row.noise_status, row.noise_signal > 0 and 'ok' or 'no_signal')
    t.equal(row.noise_scale ~= nil, row.noise_signal > 0)
  end
  local epoch = lines.epoch[1]
  t.near(epoch.noise_trace, trace, 1e-9 * trace)
  t.near(epoch.noise_signal, signal, 1e-9 * math.abs(signal))
  t.equal(epoch.noise_scale ~= nil, signal > 0)
  if signal > 0 then t.near(epoch.noise_scale, trace / signal, 1e-9 * trace / signal) end
  t.matches(output, signal > 0 and 'noise%s+B_simple %S+ samples' or 'noise%s+no B_simple')
end)

t.test('impossible values are config errors', function()
  for _, case in ipairs {
    { 'train.accumulate=0', "option 'accumulate' must be at least 1, got 0" },
    { 'train.accumulate=1.5', 'accumulate' },
    { 'tscore.groups=layer', 'groups' },
    { 'tscore.samples=3', 'samples' },
  } do
    local output, code = run(case[1])
    t.equal(code, 3, output)
    t.contains(output, case[2])
  end
end)
