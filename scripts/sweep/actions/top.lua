-- runner sweep top [SWEEP]: its configurations, the best first.
local console = require 'console'
local effects = require 'sweep.effects'
local fail = require 'fail'
local findings = require 'compare.findings'
local json = require 'json'
local look = require 'sweep.study.look'
local nearest = require 'nearest'
local plan = require 'sweep.planning.plan'
local pretty = require 'pretty'
local statistics = require 'statistics'
local status = require 'sweep.status'

local action = {}

local SHOWN = 10

-- Cells that differ in the seed alone are one configuration.
local function configurations(rows)
  local found, by_label = {}, {}
  for _, row in ipairs(rows) do
    local parts = {}
    for _, text in ipairs(row.cell.set) do
      if not text:find '^train%.seed=' then parts[#parts + 1] = text end
    end
    local label = #parts > 0 and table.concat(parts, ' ') or 'as it is'
    local one = by_label[label]
    if not one then
      one = { label = label, values = {}, planned = 0 }
      by_label[label], found[#found + 1] = one, one
    end
    one.planned = one.planned + 1
    if row.value then one.values[#one.values + 1] = row.value end
  end
  return found
end

-- The best of several is chosen for its luck as well: its mean is too good by about this much.
local CAUTION = "the best of %d was chosen for its value, which makes it look better than it is: run it again with "
  .. 'other seeds before you believe the number'

-- The metrics that finished cells have.
local function metrics_of(rows)
  local seen = {}
  for _, row in ipairs(rows) do
    local exit = row.now.state == 'done' and row.now.exit or {}
    for name in pairs(type(exit.summary) == 'table' and exit.summary or {}) do seen[name] = true end
  end
  return pretty.sorted_keys(seen)
end

-- Configurations with a value, the best first.
local function rank(found, name, maximize)
  local planned, ranked = plan.read(found.path), {}
  planned.head.metric = name or planned.head.metric
  local rows, metric = status.rows(found.path, planned)
  for _, one in ipairs(configurations(rows)) do
    if #one.values > 0 then
      one.interval = statistics.interval(one.values)
      ranked[#ranked + 1] = one
    end
  end
  if #ranked == 0 then
    fail.data("no finished cell of '%s' has the metric '%s'%s", found.path, metric,
      nearest.hint(metric, metrics_of(rows)))
  end
  maximize = maximize or planned.head.maximize or false
  table.sort(ranked, function(a, b)
    if a.interval.mean == b.interval.mean then return a.label < b.label end
    return (a.interval.mean < b.interval.mean) ~= maximize
  end)
  return ranked, metric, maximize, rows
end

---@param found { path: string }
---@param o { metric: string?, maximize: boolean?, all: boolean? }
---@return string[]
function action.lines(found, o)
  local ranked, name, maximize, rows = rank(found, o.metric, o.maximize)
  local lines = { ('%s, %s first; mean +- half width of the 95 %% interval (n)'):format(name,
    maximize and 'highest' or 'lowest') }
  for i = 1, o.all and #ranked or math.min(SHOWN, #ranked) do
    local one = ranked[i]
    lines[#lines + 1] = ('%3d  %-26s  %s%s'):format(i, findings.interval_text(one.interval), one.label,
      one.interval.n < one.planned and ('  %d of %d'):format(one.interval.n, one.planned) or '')
  end
  if #ranked > SHOWN and not o.all then lines[#lines + 1] = ('... %d more (--all)'):format(#ranked - SHOWN) end
  if #ranked > 1 then lines[#lines + 1] = CAUTION:format(#ranked) end
  for _, line in ipairs(effects.lines(rows, name)) do lines[#lines + 1] = line end
  return lines
end

function action.run(found, args)
  look(found.path)
  if not args.json then
    console.write(table.concat(action.lines(found, args), '\n') .. '\n')
    return 0
  end
  local ranked, name = rank(found, args.metric, args.maximize)
  for i, one in ipairs(ranked) do
    console.write(json.encode { kind = 'rank', rank = i, set = one.label, metric = name, mean = one.interval.mean,
      half = one.interval.half, n = one.interval.n, of = one.planned } .. '\n')
  end
  return 0
end

return action
