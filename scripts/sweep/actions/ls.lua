-- runner sweep ls: all sweeps, with how far they are.
local console = require 'console'
local findings = require 'compare.findings'
local json = require 'json'
local plan = require 'sweep.planning.plan'
local run_files = require 'runs.files'
local select = require 'sweep.select'
local status = require 'sweep.status'

local action = { needs = 'none' }

-- The best value so far.
local function best_of(rows, maximize)
  local best
  for _, row in ipairs(rows) do
    local value = row.value
    if value and (not best or (maximize and value > best) or (not maximize and value < best)) then best = value end
  end
  return best
end

local function summary(found)
  local planned = plan.read(found.path)
  local head, rows, name = planned.head, status.rows(found.path, planned)
  local counts = status.counts(rows)
  return { experiment = found.experiment, name = found.name, path = found.path, created = head.created,
    cells = head.sampler == 'tpe' and head.trials * math.max(1, head.seeds or 1) or #rows,
    over = counts.done + counts.pruned, running = counts.running, failed = counts.failed, metric = name,
    best = best_of(rows, head.maximize) }
end

function action.run(_, args)
  local sweeps = select.list()
  if #sweeps == 0 then console.note(("no sweeps in '%s'"):format(run_files.root())) end
  local rows, width = {}, 0
  for i, found in ipairs(sweeps) do
    rows[i] = summary(found)
    width = math.max(width, #found.experiment + #found.name + 7)
  end
  table.sort(rows, function(a, b)
    if a.created == b.created then return a.name < b.name end
    return tostring(a.created) < tostring(b.created)
  end)
  for _, row in ipairs(rows) do
    local name = ('%s/sweep-%s'):format(row.experiment, row.name)
    console.write((args.json and json.encode(row) or ('%s%s  %d of %d over%s%s%s  planned %s'):format(name,
      (' '):rep(width - #name), row.over, row.cells, row.running > 0 and (', %d running'):format(row.running) or '',
      row.failed > 0 and (', %d failed'):format(row.failed) or '',
      row.best and ('  best %s %s'):format(row.metric, findings.number(row.best)) or '',
      run_files.time_text(row.created))) .. '\n')
  end
  return 0
end

return action
