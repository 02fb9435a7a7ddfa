-- runner sweep rebuild [SWEEP]: makes the index, and a study that machines share, from the files.
local cells = require 'sweep.cells'
local console = require 'console'
local fail = require 'fail'
local index = require 'sweep.study.index'
local plan = require 'sweep.planning.plan'
local pretty = require 'pretty'
local pruning = require 'sweep.pruning'
local push = require 'sweep.study.push'
local shared = require 'sweep.study.shared'
local trials = require 'sweep.planning.trials'

local action = {}

local MACHINE = 9

function action.run(found)
  local head = plan.read(found.path).head
  index.drop(found.path)
  local count = 0
  for _, now in pairs(cells.states(found.path)) do count = count + (cells.is_over(now.state) and 1 or 0) end
  pruning.own_reports(found.path)
  trials.read(found.path)
  console.note(('index     %s'):format(pretty.plural(count, 'finished cell')))
  local study = shared.join(found.path, head, { moves = true, allows_changes = true })
  if not study then return 0 end
  local counts, message = push(study, found.path)
  if message then fail.raise(MACHINE, '%s', message) end
  console.note(('study     %s: added %s, %s, %s'):format(study.db:url(), pretty.plural(counts.cells, 'cell'),
    pretty.plural(counts.trials, 'trial'), pretty.plural(counts.reports, 'report')))
  return 0
end

return action
