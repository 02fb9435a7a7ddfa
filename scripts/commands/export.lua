-- runner export RUN --format csv|tensorboard|mlflow: the numbers of a run for other programs.
local console = require 'console'
local fail = require 'fail'
local nearest = require 'nearest'
local run_files = require 'runs.files'
local run_select = require 'runs.select'

local FORMATS = { csv = 'export.csv', tensorboard = 'export.tensorboard', mlflow = 'export.mlflow' }
local NAMES = { 'csv', 'tensorboard', 'mlflow' }

local export = { summary = 'Write a run for spreadsheets, TensorBoard or MLflow.' }

function export.configure(parser)
  parser:argument 'run':description "A run directory, a run id or its beginning, an experiment (its newest run), or 'latest'."
  parser:option '--format':description 'csv (train.csv, eval.csv), tensorboard (an event file) or mlflow (a file store).'
  parser:option '--out':description 'The folder to write to; default: export/<experiment>/<id>, for mlflow mlruns.'
  parser:flag '--force':description 'Replace an earlier export.'
end

local function exporter(format)
  local known = table.concat(NAMES, ', ')
  if not format then fail.usage('export: no format given; add --format with one of %s', known) end
  if not FORMATS[format] then fail.usage("export: unknown format '%s'%s", format, nearest.hint(format, NAMES)) end
  return require(FORMATS[format])
end

function export.run(args)
  local chosen = exporter(args.format)
  local run = run_select.one(args.run)
  local out = args.out or (args.format == 'mlflow' and 'mlruns' or ('export/%s/%s'):format(run.experiment, run.id))
  local written = chosen.write(run, out, args.force)
  console.note(run_files.title(run))
  if #written == 0 then
    fail.data("run '%s/%s' has no train or eval line to export; it ended before its first update", run.experiment, run.id)
  end
  for _, file in ipairs(written) do console.write(('%s\t%d\n'):format(file.path, file.rows)) end
  return 0
end

return export
