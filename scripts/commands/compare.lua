-- runner compare RUN... | SWEEP | EXPERIMENT: runs of several seeds as arms, with what may be said of differences.
local compare_tables = require 'compare.tables'
local compare_view = require 'compare.view'
local compute = require 'compare.compute'
local console = require 'console'
local run_select = require 'runs.select'

local compare = { summary = 'Compare runs of several seeds, with statistics.' }

function compare.configure(parser)
  parser:argument 'runs':args '+':description
    'Runs (a path, an id or its beginning, EXPERIMENT/latest), sweeps or experiments, of which every run is taken.'
  parser:option '--by':count '*':description('A key of the config whose values are the arms, such as optim.lr; may be '
    .. 'repeated. Default: every configuration is an arm.')
  parser:option '--metric':description('What is compared: val_loss (the best of each run; where no run validates, '
    .. 'train_loss), any other name of the metrics (the last), or NAME.best, NAME.last.')
  parser:option '--baseline'
    :description 'The arm the others are compared with, by its value or label; default: the first.'
  parser:flag '--strict':description 'Exit 1 when two arms are identical.'
  parser:flag '--partial':description 'Runs that did not finish count as well, with what they reached.'
  parser:flag '--intervened'
    :description 'Runs that somebody changed while they trained (runner attach, fit.lr = ...) count as well.'
  parser:flag '--allow-mixed':target 'allow_mixed':description
    'Compare runs of different configurations or data, and times of different machines or sources; the mark stays.'
  parser:mutex(parser:flag '--json':description 'One JSON object per line.',
    parser:flag '--csv':description 'A row for each arm, for other programs.',
    parser:flag '--markdown':description 'A row for each arm, for a report.')
end

function compare.run(args)
  local result = compute(run_select.all(args.runs), { metric = args.metric, by = #args.by > 0 and args.by or nil,
    baseline = args.baseline, partial = args.partial, intervened = args.intervened,
    allow_mixed = args.allow_mixed })
  local lines = args.json and compare_view.json or args.csv and compare_tables.csv
    or args.markdown and compare_tables.markdown or compare_view.lines
  for _, line in ipairs(lines(result)) do
    console.write(line .. '\n')
  end
  return args.strict and #result.identical > 0 and 1 or 0
end

return compare
