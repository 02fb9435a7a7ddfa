-- runner show RUN: all that a run directory tells.
local console = require 'console'
local dkjson = require 'dkjson'
local run_files = require 'runs.files'
local run_select = require 'runs.select'
local run_summary = require 'runs.summary'
local run_view = require 'runs.view'

local show = { summary = 'Show one run: how it ended, its config, numbers and files.' }

function show.configure(parser)
  parser:argument 'run':args '?':description
    "A run directory, a run id or its beginning, an experiment (its newest run), or 'latest' (the default)."
  parser:flag '--all':description 'Every value of the config, also those left at their defaults.'
  parser:flag '--json':description 'One JSON object.'
  parser:flag '--md':description 'Markdown: epochs, curves, and where the time went.'
end

function show.run(args)
  local run = run_select.one(args.run or 'latest')
  if args.md then
    console.write(table.concat(require('runs.markdown').lines(run), '\n') .. '\n')
    return 0
  end
  local full = run_summary.full(run)
  if args.json then
    console.write(dkjson.encode(full) .. '\n')
    return 0
  end
  console.write(run_files.title(run) .. '\n')
  for _, line in ipairs(run_view.full(full, args.all)) do console.write(line .. '\n') end
  return 0
end

return show
