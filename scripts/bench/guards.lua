-- What the guards cost (guards/README.md, Cost): those inside the loop as a share of the update they look at, all on;
-- and the checks before the first update, over a text as long as Tiny Shakespeare. The trainer times its guards
-- itself: a difference between trainings with and without them would drown in the noise of two trainings.
local harness = require 'benchmark.harness'

local workload = { summary = 'guards: their share of the char-GRU training step, and the checks before the first' }

local CHARACTERS, LETTERS, BATCH, SEQ = 1115394, 65, 64, 100
local MOST_PERCENT, MOST_SECONDS = 1, 2

-- A text of random letters: as much to search for leaks as in a real one, and none to find.
local function write_text(path)
  local random, parts = require('fit.lua_random'), {}
  local before = random.get()
  math.randomseed(1)
  for i = 1, CHARACTERS do parts[i] = string.char(32 + math.random(LETTERS)) end
  if before then random.set(before) end
  local file = assert(io.open(path, 'wb'))
  file:write(table.concat(parts))
  file:close()
end

local function open_text()
  local path = os.tmpname()
  write_text(path)
  local text = require('data').text { file = path, batch = BATCH, seq = SEQ, stride = SEQ }
  os.remove(path)
  return text
end

-- Milliseconds of updates and of the guards in them.
local function updates(model, text, steps)
  local native, optim = require 'lanthorn', require 'optim'
  local trainer = native.train.new { model = model, train = text.train, optimizer = optim.Adam(model, { lr = 2e-3 }),
    guards = { uniform_loss = math.log(text.vocab_size) },
    sections = { train = { max_steps = harness.WARMUP + steps }, eval = { off = true } } }
  local update, guards = {}, {}
  trainer:on_step(1, function(record)
    -- What the guards of an update did after its record was closed stands in the next one.
    if record.step <= harness.WARMUP then return end
    update[#update + 1] = record.step_ms
    guards[#guards + 1] = (record.phases_ms.guards or 0) + (record.between_ms.guards or 0)
  end)
  trainer:run()
  trainer:close()
  return update, guards
end

local function sum(values)
  local total = 0
  for _, value in ipairs(values) do total = total + value end
  return total
end

function workload.run(context)
  local causality, fit_checks, models, torch = require 'guards.causality', require 'fit.checks', require 'models',
    require 'torch'
  torch.manual_seed(42)
  local text = open_text()
  local model = models.char_rnn { vocab = text.vocab_size }
  local checks, before = {
    { 'G02 device_speed', function() fit_checks.measure_gemm('cpu', 0) end },
    { 'G24 validation', function() text.native:leak() end },
    { 'G45 leak', function() causality.check({ guards = { leak = 'error' }, data = text, model = model }, {}) end },
  }, 0
  local rows = {}
  local function add(name, ms, steps)
    rows[#rows + 1] = { name = name, precision = 'fp32', threads = context.threads, ours_ms = ms, steps = steps }
  end
  for _, check in ipairs(checks) do
    local seconds = harness.seconds(check[2])
    before = before + seconds
    add(check[1], seconds * 1e3, 1)
  end
  local update, guards = updates(model, text, context.rounds * context.steps)
  local percent = 100 * sum(guards) / sum(update)
  add('guards of an update', sum(guards) / #guards, #guards)
  add('an update', sum(update) / #update, #update)
  return { rows = rows, bars = {
    harness.bar('cost', 'guards of an update', percent, { accept = MOST_PERCENT, aim = MOST_PERCENT, less = true,
      unit = '%' }),
    harness.bar('cost', 'checks before the first update', before,
      { accept = MOST_SECONDS, aim = MOST_SECONDS, less = true, unit = 's' }),
  } }
end

return workload
