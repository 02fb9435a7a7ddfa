-- runner sweep rm [SWEEP]: removes a sweep that nobody works on; with --runs its runs too.
local cells = require 'sweep.cells'
local console = require 'console'
local fail = require 'fail'
local host = require 'host'
local look = require 'sweep.study.look'
local output_files = require 'base.output_files'
local plan = require 'sweep.planning.plan'
local pretty = require 'pretty'

local action = {}

local MACHINE = 9

function action.run(found, args)
  if #args.words == 0 then fail.usage('sweep rm needs the name of the sweep') end
  local planned, runs = plan.read(found.path), {}
  local study, silence = look(found.path)
  if silence then fail.raise(MACHINE, 'it cannot be removed from its study: %s', silence) end
  for _, cell in ipairs(planned.cells) do
    local now = cells.now(found.path, cell.id)
    if now.state == 'running' then
      fail.usage("cell %s is running (process %d on %s); first: runner sweep stop %s", cell.id, now.pid, now.host,
        found.path)
    end
    runs[#runs + 1] = host.realpath(cells.folder(found.path, cell.id) .. '/run')
  end
  if args.runs then
    for _, path in ipairs(runs) do output_files.remove(path) end
  end
  if study then study:remove() end
  output_files.remove(found.path)
  console.note(("removed '%s'%s"):format(found.path,
    args.runs and (' and %s'):format(pretty.plural(#runs, 'run')) or #runs > 0 and '; its runs stay' or ''))
  return 0
end

return action
