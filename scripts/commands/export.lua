-- runner export RUN --format FORMAT: the numbers of a run for other programs. A format is a file of export/.
local console = require 'console'
local fail = require 'fail'
local nearest = require 'nearest'
local room = require 'base.room'
local run_files = require 'runs.files'
local run_select = require 'runs.select'

local export = { summary = 'Write a run for spreadsheets, TensorBoard or MLflow.' }

function export.configure(parser)
  parser:argument 'run'
    :description "A run directory, a run id or its beginning, an experiment (its newest run), or 'latest'."
  local formats, folders = {}, {}
  for i, name in ipairs(room.names 'export') do
    local format = room.load('export', name)
    formats[i] = ('%s: %s'):format(name, format.summary)
    folders[#folders + 1] = format.folder and (', for %s %s'):format(name, format.folder)
  end
  parser:option '--format':description(('What to write. %s.'):format(table.concat(formats, '; ')))
  parser:option '--out'
    :description('The folder to write to; default: export/<experiment>/<id>' .. table.concat(folders) .. '.')
  parser:flag '--force':description 'Replace an earlier export.'
end

local function exporter(format)
  local known = room.names 'export'
  if not format then fail.usage('export: no format given; add --format with one of %s', table.concat(known, ', ')) end
  return room.load('export', format) or fail.usage("export: unknown format '%s'%s", format, nearest.hint(format, known))
end

function export.run(args)
  local chosen = exporter(args.format)
  local run = run_select.one(args.run)
  local out = args.out or chosen.folder or ('export/%s/%s'):format(run.experiment, run.id)
  local written = chosen.write(run, out, args.force)
  console.note(run_files.title(run))
  if #written == 0 then
    fail.data("run '%s/%s' has no train or eval line to export; it ended before its first update", run.experiment,
      run.id)
  end
  for _, file in ipairs(written) do console.write(('%s\t%d\n'):format(file.path, file.rows)) end
  return 0
end

return export
