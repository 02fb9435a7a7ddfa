-- runner compare RUN... | SWEEP | EXPERIMENT: runs of several seeds as arms, with what may be said of differences.
local compare_arms = require 'compare.arms'
local compare_badges = require 'compare.badges'
local compare_data = require 'compare.data'
local compare_record = require 'compare.record'
local compare_results = require 'compare.results'
local compare_view = require 'compare.view'
local console = require 'console'
local fail = require 'fail'
local run_select = require 'runs.select'

local compare = { summary = 'Compare runs of several seeds, with statistics.' }

function compare.configure(parser)
  parser:argument 'runs':args '+':description
    'Runs (a path, an id or its beginning, EXPERIMENT/latest), sweeps or experiments, of which every run is taken.'
  parser:option '--by':count '*':description('A key of the config whose values are the arms, such as optim.lr; may be '
    .. 'repeated. Default: every configuration is an arm.')
  parser:option '--metric':default 'val_loss':description('What is compared: val_loss (the best of each run), any '
    .. 'other name of the metrics (the last), or NAME.best, NAME.last.')
  parser:option '--baseline'
    :description 'The arm the others are compared with, by its value or label; default: the first.'
  parser:flag '--strict':description 'Exit 1 when two arms are identical.'
  parser:flag '--partial':description 'Runs that did not finish count as well, with what they reached.'
  parser:flag '--allow-mixed':target 'allow_mixed':description
    'Compare runs of different configurations or data, and times of different machines or sources; the mark stays.'
  parser:flag '--json':description 'One JSON object per line.'
end

local function read_records(words)
  local records = {}
  for i, run in ipairs(run_select.all(words)) do records[i] = compare_record.new(run) end
  return records
end

local function count_values(arms)
  local count = 0
  for _, arm in ipairs(arms) do count = count + #arm.numbers end
  return count
end

-- Nothing to compare: because no run has the metric, or because none that has it counts.
local function refuse(records, arms, name)
  for _, record in ipairs(records) do
    if record:metric(name, 'last') then
      fail.data('no run finished: %s; --partial takes what runs reached', arms[1].notes[1] or 'none counts')
    end
  end
  compare_record.unknown_metric(records, name)
end

local function compute(args)
  local name, mode = compare_record.metric_of(args.metric)
  local records = read_records(args.runs)
  local by = #args.by > 0 and args.by or nil
  local arms, keys, marks = compare_arms.group(records, by, args.allow_mixed)
  for _, mark in ipairs(compare_data.marks(arms, keys, args.allow_mixed)) do marks[#marks + 1] = mark end
  for _, badge in ipairs(compare_badges.marks(records)) do marks[#marks + 1] = badge end
  for _, arm in ipairs(arms) do compare_arms.fill(arm, name, mode, args.partial) end
  if count_values(arms) == 0 then refuse(records, arms, name) end
  local baseline = compare_arms.baseline(arms, args.baseline)
  local budget = compare_results.budget(arms)
  local identical = compare_results.identical(arms)
  return { metric = name, mode = mode, records = records, arms = arms, marks = marks, baseline = baseline,
    budget = budget, identical = identical,
    differences = compare_results.differences(arms, baseline, identical, budget),
    times = name == 'val_loss' and compare_results.times(arms, baseline, budget, args.allow_mixed) or nil }
end

function compare.run(args)
  local result = compute(args)
  for _, line in ipairs(args.json and compare_view.json(result) or compare_view.lines(result)) do
    console.write(line .. '\n')
  end
  return args.strict and #result.identical > 0 and 1 or 0
end

return compare
