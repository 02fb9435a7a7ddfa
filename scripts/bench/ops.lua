-- What Lua costs: small operators through the generic binding against the same calls in C++, and a native training step
-- against the sum of its phases; P10.
local harness = require 'benchmark.harness'

local workload = { summary = 'small operators on float32 (4, 4): through Lua and natively', unit = 'us' }

local CALLS, BATCH = 200000, 2000

-- The loops stand apart, so that what is timed is one call and its garbage. Names are those of op_cost.cc.
local OPS = {
  { name = 'add', code = 'x:add(y)' },
  { name = 'add', label = 'operator +', code = 'x + y' },
  { name = 'add_number', code = 'x + 2' },
  { name = 'add_', code = 'x:add_(y)' },
  { name = 'relu', code = 'x:relu()' },
  { name = 'sum', code = 'x:sum({1}, true)' },
  { name = 'sum', label = 'sum by keyword', code = 'x:sum{dim = 1, keepdim = true}' },
  { name = 'softmax', code = 'torch.softmax(x, -1)' },
  { name = 'matmul', code = 'x:matmul(y)' },
  { name = 'view', code = 'x:view(2, 8)' },
  { name = 'cat', code = 'torch.cat({x, y}, 0)' },
  { name = 'zeros', code = 'torch.zeros{4, 4}' },
}

local LOOP = [[
local torch, x, y = ...
return function(n)
  local out
  for _ = 1, n do out = %s end
  return out
end]]

-- The least seconds per call over batches of calls, which a busy neighbour disturbs least; the garbage of all is
-- collected inside.
local function seconds_per_call(run, calls)
  local best = math.huge
  for _ = 1, math.max(1, math.floor(calls / BATCH)) do
    best = math.min(best, harness.seconds(function() run(BATCH) end) / BATCH)
  end
  return best
end

local function native_costs(diagnostics, rounds)
  local best = {}
  for _ = 1, rounds do
    for name, seconds in pairs(diagnostics.op_costs(BATCH)) do
      best[name] = math.min(best[name] or math.huge, seconds)
    end
  end
  return best
end

-- The typical time of a step beside the sum of the phases the trainer measures in it: data, forward, backward, clip,
-- update.
local function training_overhead(steps)
  local data, models, native, optim, torch = require 'data', require 'models', require 'lanthorn', require 'optim',
    require 'torch'
  local model = models.char_rnn { vocab = 5, embed = 4, hidden = 4, layers = 1 }
  local ids = torch.randint(5, { 64, 4 })
  local batches = data.tensors { x = ids, y = ids, batch = 2 }.train
  local trainer = native.train.new { model = model, train = batches, optimizer = optim.SGD(model, { lr = 1e-3 }),
    sections = harness.sections(steps, batches:count()) }
  local between, last = {}, nil
  trainer:on_step(1, function(record)
    local now = require('host').now()
    local phases = 0
    for name, ms in pairs(record.phases_ms) do
      if name ~= 'other' then phases = phases + ms end
    end
    if last and record.step > steps / 10 then between[#between + 1] = ((now - last) * 1e3 - phases) * 1e3 end
    last = now
  end)
  trainer:run()
  trainer:close()
  return harness.median(between)
end

function workload.run(context)
  local torch = require 'torch'
  local diagnostics = require('lanthorn').diagnostics
  local calls = math.max(BATCH, math.floor(CALLS * context.steps * context.rounds / 15))
  local native = native_costs(diagnostics, calls / BATCH)
  local rows, overheads = {}, {}
  torch.no_grad(function()
    for i, op in ipairs(OPS) do
      local x, y = torch.rand { 4, 4 }, torch.rand { 4, 4 }
      local run = assert(loadstring(LOOP:format(op.code), '=(bench ops)'))(torch, x, y)
      local ours = seconds_per_call(run, calls)
      overheads[i] = (ours - native[op.name]) * 1e6
      rows[i] = { name = op.label or op.name, code = op.code, precision = 'fp32', threads = context.threads,
        ours_us = ours * 1e6, native_us = native[op.name] * 1e6, overhead_us = overheads[i], calls = calls }
    end
  end)
  local step_us = training_overhead(math.max(20, context.steps * 200))
  return { rows = rows, bars = {
    harness.bar('P10', 'Lua over C++ per operator, median', harness.median(overheads),
      { accept = 1, aim = 0.4, less = true, unit = 'us' }),
    harness.bar('P10', 'a native step over its phases', step_us, { accept = 50, aim = 10, less = true, unit = 'us' }),
  } }
end

return workload
