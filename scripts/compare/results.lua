-- What a comparison of arms concludes (guards/README.md, Statistics; G39): paired differences with their intervals,
-- Holm's correction, arms that are identical (G35), budgets, and time to a loss that every run reached (G19, G42).
local findings = require 'compare.findings'
local compare_arms = require 'compare.arms'
local pretty = require 'pretty'
local statistics = require 'statistics'

local results = {}

local LENGTHS = { ['train.epochs'] = true, ['train.max_steps'] = true } -- keys that decide how long a run is
local COMMON_STEPS = 10 -- fewer equal steps prove nothing

-- Common evals that are all the same. Cheap, and two arms that differ here need no look at their updates.
local function evals_agree(a, b)
  local by_step = {}
  for _, point in ipairs(b:evals()) do by_step[point.step] = point.value end
  for _, point in ipairs(a:evals()) do
    local other = by_step[point.step]
    if other and not statistics.same(point.value, other) then return false end
  end
  return true
end

-- Number of common updates when their losses are all the same; nil when one differs or there are too few.
local function identical_steps(a, b)
  if not evals_agree(a, b) then return nil end
  local losses, steps = b:train_losses(), 0
  for step, loss in pairs(a:train_losses()) do
    if losses[step] then
      if not statistics.same(loss, losses[step]) then return nil end
      steps = steps + 1
    end
  end
  return steps >= COMMON_STEPS and steps or nil
end

local function compare_identity(a, b)
  local common, least = compare_arms.pairs(a, b), math.huge
  for _, pair in ipairs(common) do
    local ends_equal = pair.a.record.step == pair.b.record.step and statistics.same(pair.a.value, pair.b.value)
    local steps = ends_equal and identical_steps(pair.a.record, pair.b.record)
    if not steps then return nil end
    least = math.min(least, steps)
  end
  if #common == 0 then return nil end
  return { a = a, b = b, steps = least, triggers = { common[1].a.record:triggers(), common[1].b.record:triggers() } }
end

---Pairs of arms whose runs are the same in every common seed: in the losses of their updates, in how many these are,
---and in what is compared.
---@param arms table[]
---@return { a: table, b: table, steps: integer, triggers: string[] }[]
function results.identical(arms)
  local found = {}
  for i = 1, #arms do
    for j = i + 1, #arms do found[#found + 1] = compare_identity(arms[i], arms[j]) end
  end
  return found
end

local function is_identical(found, a, b)
  for _, pair in ipairs(found) do
    if (pair.a == a and pair.b == b) or (pair.a == b and pair.b == a) then return true end
  end
  return false
end

local function difference_of(arm, baseline)
  local values, same, no_claim = {}, true, nil
  for i, pair in ipairs(compare_arms.pairs(arm, baseline)) do
    no_claim = no_claim or pair.a.record:no_claim() or pair.b.record:no_claim()
    values[i] = pair.a.value - pair.b.value
    same = same and statistics.same(pair.a.value, pair.b.value)
  end
  local d = statistics.paired(values)
  d.arm, d.values, d.same, d.no_claim = arm, values, same and #values > 0, no_claim
  return d
end

---The differences of each arm from the baseline, paired by seed.
---@param arms table[]
---@param baseline table
---@param identical table[] of results.identical
---@param budget table of results.budget
---@return table[] differences
function results.differences(arms, baseline, identical, budget)
  local found, p_values, tested = {}, {}, {}
  for _, arm in ipairs(arms) do
    if arm ~= baseline and not is_identical(identical, arm, baseline) then
      local d = difference_of(arm, baseline)
      found[#found + 1] = d
      if d.p and d.n >= statistics.LEAST_SEEDS and not d.same and not d.no_claim then
        p_values[#p_values + 1], tested[#tested + 1] = d.p, d
      end
    end
  end
  for i, p in ipairs(statistics.holm(p_values)) do tested[i].p_holm = p end
  for _, d in ipairs(found) do d.verdict = findings.verdict(d, #tested, budget) end
  return found
end

-- The one value that f gives for all records; nil when they differ or one has none.
local function common(records, f)
  local value
  for i, record in ipairs(records) do
    local own = f(record)
    if own == nil or (i > 1 and own ~= value) then return nil end
    value = own
  end
  return value
end

local function used_records(arms)
  local records = {}
  for _, arm in ipairs(arms) do
    for _, record in ipairs(arm.used) do records[#records + 1] = record end
  end
  return records
end

---What all runs had the same of: quality is compared at equal updates or targets (Statistics 7), unless the length of
---a run is itself what the arms differ in.
---@param arms table[]
---@param keys string[] the keys of the config that the arms differ in
---@return { text: string, unequal: boolean, intended: boolean? }
function results.budget(arms, keys)
  local records = used_records(arms)
  local updates = common(records, function(record) return record.step end)
  if updates then return { text = ('at equal updates (%d)'):format(updates), unequal = false } end
  local targets = common(records, function(record) return record:targets() end)
  if targets then return { text = ('at equal targets (%d)'):format(targets), unequal = false } end
  local low, high = math.huge, 0
  for _, record in ipairs(records) do low, high = math.min(low, record.step or 0), math.max(high, record.step or 0) end
  local cause
  for _, key in ipairs(keys) do cause = cause or LENGTHS[key] and key or nil end
  return { text = ('budgets differ: %d to %d updates%s'):format(low, high, cause and ', by ' .. cause or ''),
    unequal = #records > 0, intended = cause ~= nil }
end

-- In what two runs differ so that their times may not be divided; nil when in nothing.
local function timing_difference(a, b)
  local names = {}
  if a.source_hash ~= b.source_hash or not a.source_hash then names[#names + 1] = 'sources' end
  for _, key in ipairs(pretty.sorted_keys(a.fingerprint)) do
    if a.fingerprint[key] ~= b.fingerprint[key] then names[#names + 1] = key end
  end
  return #names > 0 and table.concat(names, ', ') or nil
end

-- The highest of the lowest val losses: what every run reached.
local function common_target(records)
  local target
  for _, record in ipairs(records) do
    local best
    for _, point in ipairs(record:evals()) do
      if point.value == point.value then best = math.min(best or point.value, point.value) end
    end
    if not best then return nil end
    target = math.max(target or best, best)
  end
  return target
end

local function ratio_to(arm, baseline, target, budget, allow_mixed)
  local made, differ = { values = {} }, nil
  for _, pair in ipairs(compare_arms.pairs(arm, baseline)) do
    local own, base = pair.a.record:time_to(target), pair.b.record:time_to(target)
    differ = differ or timing_difference(pair.a.record, pair.b.record)
    if own and base and base > 0 then table.insert(made.values, own / base) end
  end
  made.mark = differ and 'runs differ in ' .. differ or budget.unequal and 'the budgets differ' or nil
  if made.mark and not allow_mixed then return { mark = made.mark } end
  made.interval = statistics.interval(made.values)
  return made
end

---Seconds to the val loss that every run reached, and their ratio to the baseline's where runs may be divided. nil
---where there are fewer than two arms or a run without evals.
---@param arms table[]
---@param baseline table
---@param budget table
---@param allow_mixed boolean?
---@return { target: number, arms: table[], noisy: integer, runs: integer }?
function results.times(arms, baseline, budget, allow_mixed)
  local records = used_records(arms)
  local target = #arms > 1 and common_target(records)
  if not target then return nil end
  local made = { target = target, arms = {}, noisy = 0, runs = #records }
  for _, record in ipairs(records) do made.noisy = made.noisy + (record.noisy and 1 or 0) end
  for i, arm in ipairs(arms) do
    local seconds, reasons = {}, {}
    for _, record in ipairs(arm.used) do
      local time, reason = record:time_to(target)
      if time then seconds[#seconds + 1] = time else reasons[reason] = true end
    end
    made.arms[i] = { arm = arm, interval = statistics.interval(seconds), missing = pretty.sorted_keys(reasons),
      ratio = arm ~= baseline and ratio_to(arm, baseline, target, budget, allow_mixed) or nil }
  end
  return made
end

return results
