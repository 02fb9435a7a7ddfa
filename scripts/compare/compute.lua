-- A comparison of runs: arms, their differences from a baseline, and times to a common loss.
local arms_of = require 'compare.arms'
local badges = require 'compare.badges'
local data = require 'compare.data'
local fail = require 'fail'
local record = require 'compare.record'
local results = require 'compare.results'

local function count_values(arms)
  local count = 0
  for _, arm in ipairs(arms) do count = count + #arm.numbers end
  return count
end

-- Nothing to compare: because no run has the metric, or because none that has it counts.
local function refuse(records, arms, name)
  for _, one in ipairs(records) do
    if one:metric(name, 'last') then
      fail.data('no run finished: %s; --partial takes what runs reached', arms[1].notes[1] or 'none counts')
    end
  end
  record.unknown_metric(records, name)
end

-- The metric that is asked for; without one the first of the defaults that any run has.
local function metric_of(records, asked)
  if asked then return record.metric_of(asked) end
  for _, text in ipairs(record.DEFAULT_METRICS) do
    local name, mode = record.metric_of(text)
    for _, one in ipairs(records) do
      if one:metric(name, mode) then return name, mode end
    end
  end
  return record.metric_of(record.DEFAULT_METRICS[1])
end

---Compares runs. Raises when there is nothing to compare.
---@param runs { experiment: string, id: string, path: string }[]
---@param o { metric: string?, by: string[]?, baseline: string?, partial: boolean?, intervened: boolean?,
---allow_mixed: boolean? } intervened: runs that were changed by hand count as well
---@return table result for compare.view
return function(runs, o)
  local records = {}
  for i, run in ipairs(runs) do
    records[i] = record.new(run)
    records[i].by_hand = records[i].interventions > 0 and not o.intervened
  end
  local name, mode = metric_of(records, o.metric)
  local arms, keys, marks = arms_of.group(records, o.by, o.allow_mixed)
  for _, mark in ipairs(data.marks(arms, keys, o.allow_mixed)) do marks[#marks + 1] = mark end
  for _, badge in ipairs(badges.marks(records)) do marks[#marks + 1] = badge end
  for _, arm in ipairs(arms) do arms_of.fill(arm, name, mode, o.partial) end
  if count_values(arms) == 0 then refuse(records, arms, name) end
  local baseline = arms_of.baseline(arms, o.baseline)
  local budget = results.budget(arms, keys)
  local identical = results.identical(arms)
  return { metric = name, mode = mode, records = records, arms = arms, marks = marks, baseline = baseline,
    budget = budget, identical = identical,
    differences = results.differences(arms, baseline, identical, budget),
    times = name == 'val_loss' and results.times(arms, baseline, budget, o.allow_mixed) or nil }
end
