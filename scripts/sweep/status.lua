-- What a sweep has come to, as text and as JSON.
local cells = require 'sweep.cells'
local duration = require 'base.duration'
local findings = require 'compare.findings'
local json = require 'json'
local metric = require 'sweep.metric'
local pretty = require 'pretty'
local progress = require 'sweep.progress'
local shared = require 'sweep.study.shared'

local status = {}

local STATES = { 'done', 'pruned', 'running', 'stopped', 'lost', 'failed', 'missing' }
local SHOWN = 40 -- rows of a state at most

---The states of all cells, in the order of the plan.
---@param folder string
---@param plan table of plan.read
---@return table[] rows { cell, now, value, shown }: value of a finished cell; shown: what any cell reached
---@return string name the metric that these are of
function status.rows(folder, plan)
  local rows, exits = {}, {}
  local states, study = cells.states(folder), shared.of(folder)
  for i, cell in ipairs(plan.cells) do
    local now = states[cell.id] or { id = cell.id, state = 'missing', attempt = 0 }
    if study then now = study:merge(cell.id, now) end
    rows[i], exits[i] = { cell = cell, now = now }, now.exit
  end
  local values, name = metric.values(exits, plan.head.metric)
  for i, row in ipairs(rows) do
    row.shown = values[i]
    row.value = row.now.state == 'done' and row.shown or nil -- what others reached compares with nothing
  end
  return rows, name
end

---How many cells are in each state.
---@param rows table[]
---@return table<string, integer>
function status.counts(rows)
  local counts = {}
  for _, state in ipairs(STATES) do counts[state] = 0 end
  for _, row in ipairs(rows) do counts[row.now.state] = counts[row.now.state] + 1 end
  return counts
end

-- "20 done, 1 running, 3 missing".
local function counts_text(counts)
  local parts = {}
  for _, state in ipairs(STATES) do
    if counts[state] > 0 then parts[#parts + 1] = ('%d %s'):format(counts[state], state) end
  end
  return table.concat(parts, ', ')
end

local function row_text(row)
  local exit = row.now.exit or {}
  local parts = { ('%-8s %s  %s'):format(row.now.state, row.cell.id, progress.settings(row.cell)) }
  if row.shown then parts[#parts + 1] = findings.number(row.shown) end
  if row.now.attempt > 1 then parts[#parts + 1] = ('attempt %d'):format(row.now.attempt) end
  if row.now.state == 'running' then parts[#parts + 1] = ('process %d on %s'):format(row.now.pid, row.now.host) end
  if row.now.state == 'failed' then
    parts[#parts + 1] = ('exit code %s: %s'):format(tostring(exit.code), tostring(exit.reason))
  end
  return table.concat(parts, '  ')
end

---@param found { experiment: string, name: string, path: string }
---@param plan table
---@param all boolean? every cell
---@return string[]
function status.lines(found, plan, all)
  local rows = status.rows(found.path, plan)
  local head, counts, shown = plan.head, status.counts(rows), {}
  local lines = { ('%s/sweep-%s  %s  planned %s'):format(found.experiment, found.name,
    pretty.plural(#plan.cells, 'cell'), tostring(head.created)) }
  lines[#lines + 1] = ('%-9s%s'):format('varies', table.concat(head.axes, ' ')
    .. (head.seeds and (' seeds=%d'):format(head.seeds) or ''))
  if #head.overrides > 0 then lines[#lines + 1] = ('%-9s%s'):format('sets', table.concat(head.overrides, ' ')) end
  if head.sources_changed then
    lines[#lines + 1] = ('%-9s%s'):format('sources', 'changed during the sweep, ' .. head.sources_changed)
  end
  lines[#lines + 1] = ('%-9s%s'):format('cells', counts_text(counts))
  local cpu, wall = 0, 0
  for _, row in ipairs(rows) do
    local exit = row.now.exit or {}
    cpu, wall = cpu + (exit.cpu_s or 0), wall + (exit.wall_s or 0)
  end
  if wall > 0 then
    lines[#lines + 1] = ('%-9s%s of work, %s of CPU time'):format('cost', duration.short(wall), duration.short(cpu))
  end
  lines[#lines + 1] = ''
  for _, row in ipairs(rows) do
    local state = row.now.state
    shown[state] = (shown[state] or 0) + 1
    if all or shown[state] <= SHOWN then
      lines[#lines + 1] = row_text(row)
    elseif shown[state] == SHOWN + 1 then
      lines[#lines + 1] = ('... %d more %s (--all shows them)'):format(counts[state] - SHOWN, state)
    end
  end
  return lines
end

---@return string[] one JSON object each
function status.json(found, plan)
  local objects = { json.encode { kind = 'sweep', experiment = found.experiment, name = found.name,
    path = found.path, cells = #plan.cells } }
  for i, row in ipairs(status.rows(found.path, plan)) do
    objects[i + 1] = json.encode { kind = 'cell', i = row.cell.i, id = row.cell.id, set = row.cell.set,
      state = row.now.state, attempt = row.now.attempt, value = row.shown, pid = row.now.pid, host = row.now.host,
      exit = row.now.exit }
  end
  return objects
end

return status
