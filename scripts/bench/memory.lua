-- What a steady training loop does to memory; P11. A small model takes the thousands of steps that a slope of the
-- resident set needs; its tensors are too small to be large blocks, so a few steps of the full size show what is
-- asked of the system.
local harness = require 'benchmark.harness'

local workload = { summary = 'steady char-GRU steps: resident memory of small ones, large blocks of full ones' }

local VOCAB = 65
local SMALL = { rows = 8, seq = 20, hidden = 32, embed = 16 }
local FULL = { rows = 64, seq = 100, hidden = 256, embed = 128 } -- that of `gru`
local STEPS_PER_STEP = 67 -- 15 steps of the command make the 1,000 small ones that the bar names

local SAMPLES = 50

-- Slope of the least-squares line through (1, values[1]), (2, values[2]), ...
local function slope(values)
  local n, sx, sy, sxx, sxy = #values, 0, 0, 0, 0
  for x, y in ipairs(values) do sx, sy, sxx, sxy = sx + x, sy + y, sxx + x * x, sxy + x * y end
  return (n * sxy - sx * sy) / (n * sxx - sx * sx)
end

-- Calls visit(step) after every `every`-th step of a new model.
local function train(size, steps, sections, every, visit)
  local data, models, native, optim, torch = require 'data', require 'models', require 'lanthorn', require 'optim',
    require 'torch'
  torch.manual_seed(42)
  local draw = function() return torch.randint(VOCAB, { size.rows * 16, size.seq }) end
  local batches = data.tensors { x = draw(), y = draw(), batch = size.rows }.train
  local model = models.char_rnn { vocab = VOCAB, hidden = size.hidden, embed = size.embed }
  local trainer = native.train.new { model = model, train = batches, optimizer = optim.Adam(model),
    sections = harness.sections(steps, batches:count(), sections) }
  trainer:on_step(every, function(record) visit(record.step) end)
  trainer:run()
  trainer:close()
end

-- What a step took between two states of the counters.
local function per_step(row, first, last, steps)
  row.allocations_per_step, row.large_per_step = (last.count - first.count) / steps, (last.large - first.large) / steps
  row.fresh_per_step = (last.fresh_blocks - first.fresh_blocks) / steps
  return row
end

-- Few samples, whose own garbage is not part of what is measured; the first fifth fills caches and pools.
local function small(steps, sections)
  local counters = require('lanthorn').diagnostics.allocations
  local every = math.max(1, math.floor(steps / SAMPLES))
  local resident, first, last = {}, nil, nil
  train(SMALL, steps, sections, every, function(step)
    if step < steps / 5 then return end
    collectgarbage()
    last = counters()
    first = first or last
    resident[#resident + 1] = last.resident_bytes
  end)
  return per_step({ steps = steps, rss_kb_per_1000 = slope(resident) / every }, first, last, (#resident - 1) * every)
end

-- As in a run, nobody collects garbage between the steps: the trainer must return its blocks by itself.
local function full(steps, sections)
  local counters = require('lanthorn').diagnostics.allocations
  local first
  local row = { steps = steps }
  train(FULL, harness.WARMUP + steps, sections, 1, function(step)
    if step == harness.WARMUP then first = counters() end
    if step == harness.WARMUP + steps then per_step(row, first, counters(), steps) end
  end)
  return row
end

function workload.run(context)
  local rows = {}
  local function add(name, row)
    row.name, row.precision, row.threads = name, 'fp32', context.threads
    rows[#rows + 1] = row
    return row
  end
  local steps = context.rounds * context.steps
  local many = math.max(50, steps * STEPS_PER_STEP)
  local plain = add('8 x 20, no T-Score', small(many, {}))
  local tscore = add('8 x 20, T-Score', small(many, { tscore = { every = 1 } }))
  local full_plain = add('64 x 100, no T-Score', full(steps, {}))
  local full_tscore = add('64 x 100, T-Score', full(steps, { tscore = { every = 1 } }))
  return { rows = rows, bars = {
    -- A page or two of the allocator's own is not a slope: what counts is below 100 kB in 1,000 steps.
    harness.bar('P11', 'resident memory per 1,000 steps', math.max(plain.rss_kb_per_1000, tscore.rss_kb_per_1000),
      { accept = 100, aim = 100, less = true, unit = 'kB' }),
    harness.bar('P11', 'blocks from 1 MiB asked of the system per step', math.max(full_plain.fresh_per_step,
      full_tscore.fresh_per_step), { accept = 0, aim = 0, less = true }),
  } }
end

return workload
