-- runner report RUN [-o FILE]: one HTML file that says and shows all of a run.
local console = require 'console'
local fail = require 'fail'
local host = require 'host'
local output_files = require 'base.output_files'
local page = require 'report.page'
local run_report = require 'report.run_report'
local run_select = require 'runs.select'
local run_view = require 'runs.view'

local report = { summary = 'One HTML file of a run: curves, samples, config, machine.' }

function report.configure(parser)
  parser:argument 'run':args '?':description
    "A run directory, a run id or its beginning, an experiment (its newest run), or 'latest' (the default)."
  parser:option '-o --out':argname 'FILE':description 'Where to write it (default: report.html in the run).'
end

function report.run(args)
  local run = run_select.one(args.run or 'latest')
  local path = args.out or run.path .. '/report.html'
  local info = host.stat(path)
  if info and info.type == 'dir' then fail.usage("-o: '%s' is a folder; expected a file, such as report.html", path) end
  local parts = page.parts(run_report.of(run))
  output_files.write(path, function(write)
    for _, part in ipairs(parts) do write(part) end
  end)
  console.write(('%s  %s\n'):format(path, run_view.bytes(host.stat(path).size)))
  return 0
end

return report
