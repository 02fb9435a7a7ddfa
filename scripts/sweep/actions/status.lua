-- runner sweep status [SWEEP]: what became of each cell.
local console = require 'console'
local look = require 'sweep.study.look'
local plan = require 'sweep.planning.plan'
local status = require 'sweep.status'

local action = {}

function action.run(found, args)
  look(found.path)
  local planned = plan.read(found.path)
  local lines = args.json and status.json(found, planned) or status.lines(found, planned, args.all)
  console.write(table.concat(lines, '\n') .. '\n')
  return 0
end

return action
