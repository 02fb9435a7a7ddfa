-- runner fsck [RUN...] : verifies run directories and their checkpoints, and tells what could be removed.
local console = require 'console'
local dkjson = require 'dkjson'
local fail = require 'fail'
local run_files = require 'runs.files'
local run_select = require 'runs.select'

local command = { summary = 'Verify runs and checkpoints; repair links, remove what is not kept.' }

function command.configure(parser)
  parser:argument 'runs':args '*':description 'Run directories, ids or experiments; all runs when none is given.'
  parser:flag '--repair':description 'Point the links at checkpoints that verify, close runs whose process is gone.'
  parser:flag '--prune'
    :description 'Remove leftovers, checkpoints set aside, and those that the retention of the run does not keep.'
  parser:flag '--json':description 'One object per run.'
end

local function mb(bytes)
  return ('%.1f MB'):format(bytes / 1e6)
end

local function show(run, report)
  console.write(('%-10s%s/%s  %s%s\n'):format(report.problems[1] and 'PROBLEM' or 'ok', run.experiment, run.id,
    report.state, report.newest and (', resumes from ' .. report.newest) or ''))
  for _, text in ipairs(report.problems) do console.write('          ' .. text .. '\n') end
  for _, text in ipairs(report.done) do console.write('          ' .. text .. '\n') end
  if report.wasted_bytes > 0 then
    console.write(('          %s that --prune would remove\n'):format(mb(report.wasted_bytes)))
  end
end

function command.run(args)
  local run_check = require 'runs.check' -- here: it loads the native module, which --help of all commands must not
  local runs = #args.runs > 0 and run_select.all(args.runs) or run_files.list()
  if #runs == 0 then fail.usage("fsck: there are no runs in '%s'", run_files.root()) end
  local problems, wasted = 0, 0
  for _, run in ipairs(runs) do
    local report = run_check.run(run.path, { repair = args.repair, prune = args.prune })
    if args.json then
      report.run = run.experiment .. '/' .. run.id
      console.write(dkjson.encode(report) .. '\n')
    else
      show(run, report)
    end
    if #report.problems > 0 then problems = problems + 1 end
    wasted = wasted + report.wasted_bytes
  end
  console.note(('%d %s, %d with problems, %s to prune'):format(#runs, #runs == 1 and 'run' or 'runs', problems,
    mb(wasted)))
  return problems > 0 and 5 or 0
end

return command
