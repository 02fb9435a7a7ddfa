-- What was timed, as a projection: the numbers behind `runner project`, in seconds and updates.
local cadence = require 'projection.cadence'
local host = require 'host'
local resample = require 'projection.resample'
local statistics = require 'statistics'
local timings = require 'projection.timings'

local forecast = {}

local ROWS = { 100, 500, 1000, 3500, 6500, 10000 } -- updates of the cost table where nobody asks for others

-- Values of a function over records.
local function each(records, value)
  local values = {}
  for i, record in ipairs(records) do values[i] = value(record) end
  return values
end

-- What the updates before the timed ones take longer than those.
local function warm_up_s(warm_up, mean)
  local ms = 0
  for _, value in ipairs(warm_up) do ms = ms + math.max(value - mean, 0) end
  return ms / 1e3
end

local function table_rows(to, asked)
  local rows, seen = {}, { [to] = true }
  for _, updates in ipairs(asked or ROWS) do
    if not seen[updates] then rows[#rows + 1] = updates end
  end
  rows[#rows + 1] = to
  table.sort(rows)
  return rows
end

---@param measured table of fit.projecting
---@param to integer updates
---@param asked? integer[] updates that the cost table has rows for
---@return table projection
function forecast.of(measured, to, asked)
  local updates = each(measured.timed, timings.update_ms)
  local drawn = resample.draw(each(updates, function(ms) return ms / 1e3 end), measured.waiting)
  local warm_up = each(measured.warm_up, timings.update_ms)
  local eval, checkpoint = measured.eval, measured.checkpoint
  local plan = { batches = measured.batches, accumulate = measured.accumulate, update_s = drawn.mean,
    eval_s = eval and eval.s or 0, save_s = checkpoint and checkpoint.s, every = measured.every }
  local start_s = measured.startup_s + warm_up_s(warm_up, statistics.mean(updates))

  -- From an update on, 0: from the beginning.
  local function time(from, last)
    local count = cadence.count(plan, from, last)
    local beside = start_s + (from > 0 and checkpoint and checkpoint.restore_s or 0) + count.evals * plan.eval_s
      + count.checkpoints * (plan.save_s or 0)
    local total = resample.total(drawn, last - from, beside)
    return { low_s = total.low, mid_s = total.mid, high_s = total.high, evals = count.evals,
      checkpoints = count.checkpoints }
  end

  local rows = {}
  for i, number in ipairs(table_rows(to, asked)) do
    rows[i] = { updates = number, micro_steps = cadence.micro_steps(plan, number), whole = time(0, number),
      rest = number < to and checkpoint and time(number, to) or nil }
  end
  local whole, now = time(0, to), host.unix_time()
  local flags = timings.flags(updates, warm_up, measured.waiting, measured.tscore_every)
  if measured.unseen and #measured.unseen > 0 then
    local names = table.concat(measured.unseen, ', ')
    flags[#flags + 1] = { kind = 'callbacks',
      text = ('not in it: what %s does at the ends of epochs and of the training'):format(names) }
  end
  return { name = measured.name, device = measured.device, threads = measured.threads, at = measured.at,
    to = { updates = to, micro_steps = cadence.micro_steps(plan, to) }, accumulate = measured.accumulate,
    epoch_updates = cadence.epoch_updates(plan), startup_s = measured.startup_s, start_s = start_s,
    timed = { updates = #updates, micro_steps = timings.micro_steps(measured.timed), warm_up_updates = #warm_up,
      update_ms = timings.spread(updates), micro_step_ms = timings.spread(each(measured.timed, timings.micro_step_ms)),
      waiting_pct = 100 * measured.waiting },
    phases = timings.phases(measured.timed), lengths = measured.lengths, eval = eval, checkpoint = checkpoint,
    rows = rows, whole = whole, level_pct = 100 * resample.LEVEL,
    ends = { low = now + whole.low_s, mid = now + whole.mid_s, high = now + whole.high_s }, flags = flags }
end

return forecast
