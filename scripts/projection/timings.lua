-- What timed updates tell: an update and its micro-steps, where the time goes, and what is odd about it.
local resample = require 'projection.resample'
local statistics = require 'statistics'

local timings = {}

-- Phases that each micro-step has, in the loop's order, and those of the whole update. Others go behind them.
local OF_MICRO_STEPS = { 'data', 'transfer', 'forward', 'backward', 'tscore' }
local OF_UPDATES = { 'clip', 'optimizer', 'predict', 'guards', 'callbacks', 'log', 'other' }

-- Ratios of medians, of one update to the median, and shares, beyond which words are due.
local TREND, OUTLIER, COLD, WAITING = 1.1, 3, 2, 0.05

---What an update took, from the record before to this one, without evals and saves: these are counted apart.
---@param record table of on_step
---@return number ms
function timings.update_ms(record)
  local ms = record.step_ms
  for phase, between in pairs(record.between_ms or {}) do
    if phase ~= 'eval' and phase ~= 'save' then ms = ms + between end
  end
  return ms
end

---Forward and backward of one micro-step, the mean over those of an update.
---@param record table of on_step
---@return number ms
function timings.micro_step_ms(record)
  local phases = record.phases_ms
  return ((phases.forward or 0) + (phases.backward or 0)) / record.micro_batches
end

---Micro-steps of updates together.
---@param records table[]
---@return integer
function timings.micro_steps(records)
  local sum = 0
  for _, record in ipairs(records) do sum = sum + record.micro_batches end
  return sum
end

---@param values number[]
---@return { median: number, p10: number, p90: number, mean: number }
function timings.spread(values)
  return { median = statistics.quantile(values, 0.5), p10 = statistics.quantile(values, 0.1),
    p90 = statistics.quantile(values, 0.9), mean = statistics.mean(values) }
end

---Milliseconds of each phase, the mean over the updates, in order. micro_step_ms: of one micro-step, where each has it.
---@param records table[]
---@return { phase: string, update_ms: number, micro_step_ms: number? }[]
function timings.phases(records)
  local sums, micro, rows = {}, timings.micro_steps(records), {}
  for _, record in ipairs(records) do
    for _, part in ipairs { record.phases_ms, record.between_ms or {} } do
      for phase, ms in pairs(part) do sums[phase] = (sums[phase] or 0) + ms end
    end
  end
  sums.eval, sums.save = nil, nil
  local function add(phase, of_micro_steps)
    if not sums[phase] then return end
    rows[#rows + 1] = { phase = phase, update_ms = sums[phase] / #records,
      micro_step_ms = of_micro_steps and sums[phase] / micro or nil }
    sums[phase] = nil
  end
  for _, phase in ipairs(OF_MICRO_STEPS) do add(phase, true) end
  for _, phase in ipairs(OF_UPDATES) do add(phase) end
  local rest = {}
  for phase in pairs(sums) do rest[#rest + 1] = phase end
  table.sort(rest)
  for _, phase in ipairs(rest) do add(phase) end
  return rows
end

---What should be known before the projection is believed, in words: a cold first update, a trend, outliers.
---@param values number[] milliseconds of the timed updates
---@param warm_up? number[] of those before them
---@param waiting? number share of the time that the process waited for a core
---@param tscore_every? integer updates from one T-Score to the next; 0: none
---@return { kind: "first_update"|"trend"|"outlier"|"busy"|"tscore", ratio: number, text: string }[]
function timings.flags(values, warm_up, waiting, tscore_every)
  local flags, median = {}, statistics.quantile(values, 0.5)
  local function add(kind, ratio, text, ...)
    flags[#flags + 1] = { kind = kind, ratio = ratio, text = text:format(...) }
  end
  local first = warm_up and warm_up[1]
  if first and first > COLD * median then
    add('first_update', first / median, 'the first update took %.0f ms, %.1f times the median; it counts once, as '
      .. 'warm-up', first, first / median)
  end
  local trend = resample.trend(values)
  if trend > TREND or trend < 1 / TREND then
    add('trend', trend, 'the second half of the timed updates took %.2f times the first (medians): rows of another '
      .. 'length, or a machine that changes; --steps times more of them', trend)
  end
  for i, ms in ipairs(values) do
    if ms > OUTLIER * median then
      add('outlier', ms / median, 'timed update %d took %.0f ms, %.1f times the median; such ones are taken to come '
        .. 'again', i, ms, ms / median)
    end
  end
  if waiting and waiting > WAITING then
    add('busy', waiting, 'other programs held the cores: threads waited %.0f %% of the time; the interval allows for '
      .. 'their leaving, and for as many more', 100 * waiting)
  end
  if tscore_every and tscore_every > #values then
    add('tscore', tscore_every / #values, 'T-Score comes every %d updates, and %d were timed: what it costs is missing '
      .. 'or counts too often; --steps %d tells', tscore_every, #values, tscore_every)
  end
  return flags
end

return timings
