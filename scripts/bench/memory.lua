-- What a steady training loop does to memory: the slope of the resident set, and tensor allocations per step; P11.
local bench = require 'bench'

local workload = { summary = 'steady char-GRU steps, 8 x 20 characters: resident memory, tensors' }

local ROWS, SEQ, VOCAB = 8, 20, 65
local STEPS_PER_STEP = 67 -- 15 steps make the 1,000 that the bar names

local SAMPLES = 50

-- Slope of the least-squares line through (1, values[1]), (2, values[2]), ...
local function slope(values)
  local n, sx, sy, sxx, sxy = #values, 0, 0, 0, 0
  for x, y in ipairs(values) do sx, sy, sxx, sxy = sx + x, sy + y, sxx + x * x, sxy + x * y end
  return (n * sxy - sx * sy) / (n * sxx - sx * sx)
end

local function train(steps, options)
  local data, models, native, optim, torch = require 'data', require 'models', require 'lanthorn', require 'optim', require 'torch'
  torch.manual_seed(42)
  local draw = function() return torch.randint(VOCAB, { ROWS * 16, SEQ }) end
  local batches = data.tensors { x = draw(), y = draw(), batch = ROWS }.train
  local model = models.char_rnn { vocab = VOCAB, hidden = 32, embed = 16 }
  local given = { max_steps = steps, epochs = math.ceil(steps / batches:count()), eval = false }
  for key, value in pairs(options) do given[key] = value end
  local trainer = native.train.new { model = model, train = batches, optimizer = optim.Adam(model), options = given }
  -- Few samples, whose own garbage is no part of what is measured; the first fifth fills caches and pools.
  local every = math.max(1, math.floor(steps / SAMPLES))
  local resident, first, last = {}, nil, nil
  trainer:on_step(every, function(record)
    if record.step < steps / 5 then return end
    collectgarbage()
    last = native.diagnostics.allocations()
    first = first or last
    resident[#resident + 1] = last.resident_bytes
  end)
  trainer:run()
  trainer:close()
  local counted = (#resident - 1) * every
  return { rss_kb_per_1000 = slope(resident) / every, allocations_per_step = (last.count - first.count) / counted,
    large_per_step = (last.large - first.large) / counted, steps = steps }
end

function workload.run(context)
  local steps = math.max(50, context.rounds * context.steps * STEPS_PER_STEP)
  local rows = {}
  for i, case in ipairs { { 'no T-Score', {} }, { 'T-Score', { tscore_every = 1 } } } do
    rows[i] = train(steps, case[2])
    rows[i].name, rows[i].precision, rows[i].threads = case[1], 'fp32', context.threads
  end
  local worst = math.max(rows[1].rss_kb_per_1000, rows[2].rss_kb_per_1000)
  return { rows = rows, bars = {
    -- A page or two of the allocator's own is no slope: what counts is below 100 kB in 1,000 steps.
    bench.bar('P11', 'resident memory per 1,000 steps', worst, { accept = 100, aim = 100, less = true, unit = 'kB' }),
    bench.bar('P11', 'tensors of at least 1 MiB per step', math.max(rows[1].large_per_step, rows[2].large_per_step),
      { accept = 0, aim = 0, less = true }),
  } }
end

return workload
