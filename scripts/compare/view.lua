-- A comparison as text for people, or as JSON objects.
local cost = require 'compare.cost'
local findings = require 'compare.findings'
local dkjson = require 'dkjson'
local duration = require 'base.duration'
local pretty = require 'pretty'
local provenance = require 'compare.provenance'
local run_files = require 'runs.files'
local statistics = require 'statistics'

local view = {}

local number, interval_text = findings.number, findings.interval_text

local function widths(arms)
  local width = 4
  for _, arm in ipairs(arms) do width = math.max(width, #arm.label) end
  return width
end

-- The label of a row; string.format has a limit of 99 columns, labels have none.
local function padded(label, width)
  return label .. (' '):rep(width - #label)
end

local function single_values(arm)
  local parts = {}
  for _, unit in ipairs(arm.units) do
    if unit.value then
      -- guard G27: a number has a run
      local cell = provenance.measured(unit.value, { unit.record and unit.record.name })
      parts[#parts + 1] = ('%s: %s'):format(unit.key, provenance.text(cell, arm.label, number))
    end
  end
  return table.concat(parts, '  ')
end

local function add_arms(lines, result, width)
  for _, arm in ipairs(result.arms) do
    local few = arm.interval.n < statistics.LEAST_SEEDS and ('  n = %d: no claim'):format(arm.interval.n) or ''
    local missing = arm.interval.n < #arm.units and ('  %d of %d'):format(arm.interval.n, #arm.units) or ''
    lines[#lines + 1] = ('%s  %-26s  %s%s%s'):format(padded(arm.label, width), interval_text(arm.interval),
      single_values(arm), missing, few)
    for _, note in ipairs(arm.notes) do lines[#lines + 1] = (' '):rep(width + 2) .. note end
  end
end

local function add_differences(lines, result, width)
  if #result.arms < 2 then return end
  lines[#lines + 1] = ''
  lines[#lines + 1] = ("difference from '%s', paired by seed, %s"):format(result.baseline.label, result.budget.text)
  for _, d in ipairs(result.differences) do
    local p = d.p_holm and ('  p %.2g'):format(d.p_holm) or ''
    lines[#lines + 1] = ('%s  %-26s  %s%s'):format(padded(d.arm.label, width), interval_text(d), d.verdict, p)
  end
  local tested = 0
  for _, d in ipairs(result.differences) do tested = tested + (d.p_holm and 1 or 0) end
  if tested > 1 then
    lines[#lines + 1] = ("%d arms were compared with the baseline; p is after Holm's correction"):format(tested)
  end
  for _, pair in ipairs(result.identical) do
    lines[#lines + 1] = ("arms '%s' and '%s' are identical: at least %d common updates equal to 12 digits; triggers: "
      .. '%s | %s'):format(pair.a.label, pair.b.label, pair.steps, pair.triggers[1], pair.triggers[2])
  end
end

-- Short times keep two decimals, so that a half width shows.
local function seconds_text(s)
  return s < 9.995 and ('%.2fs'):format(s) or duration.short(s)
end

-- "x 0.5000 +- 0.0100 (3)" and what may be said of it, or why there is no ratio.
local function ratio_text(ratio)
  if not ratio then return '' end
  local interval = ratio.interval
  if not interval then return ('no ratio: %s'):format(ratio.mark) end
  local said = interval.n < statistics.LEAST_SEEDS and (', n = %d: no claim'):format(interval.n)
    or interval.half and math.abs(interval.mean - 1) <= interval.half and ', effect smaller than noise' or ''
  return ('x %s%s%s'):format(interval_text(interval), said, ratio.mark and ', marked: ' .. ratio.mark or '')
end

local function add_times(lines, result, width)
  local times = result.times
  if not times then return end
  lines[#lines + 1] = ''
  lines[#lines + 1] = ('time to val_loss %s, the lowest that every run reached'):format(number(times.target))
  for _, row in ipairs(times.arms) do
    local missing = #row.missing > 0 and (' (%s)'):format(table.concat(row.missing, ', ')) or ''
    local seconds = interval_text(row.interval, seconds_text) .. missing
    local text = ('%s  %-26s  %s'):format(padded(row.arm.label, width), seconds, ratio_text(row.ratio))
    lines[#lines + 1] = text:gsub('%s+$', '')
  end
  if times.noisy > 0 then
    lines[#lines + 1] = ('noisy: at the start of %d of %d runs others took more than 20 %% of the cores')
      :format(times.noisy, times.runs)
  end
end

local function add_cost(lines, result, width)
  local rows = {}
  for _, arm in ipairs(result.arms) do
    local took = cost.of_arm(arm)
    if took.cpu_s or took.wall_s then
      rows[#rows + 1] = ('%s  %-10s  %-10s  %s'):format(padded(arm.label, width),
        took.cpu_s and duration.short(took.cpu_s) or 'NA', took.wall_s and duration.short(took.wall_s) or 'NA',
        took.targets and pretty.count(math.floor(took.targets + 0.5)) or 'NA')
    end
  end
  if #rows == 0 then return end
  lines[#lines + 1] = ''
  lines[#lines + 1] = 'cost of a run: CPU time, wall time, targets'
  for _, row in ipairs(rows) do lines[#lines + 1] = row end
end

local function add_runs(lines, result)
  lines[#lines + 1] = ''
  for _, record in ipairs(result.records) do lines[#lines + 1] = run_files.title(record.run) end
end

---The arms and their differences.
---@param result table of compare.compute
---@return string[]
function view.table(result)
  local lines, width = {}, widths(result.arms)
  lines[#lines + 1] = ('%s, %s of each run; mean +- half width of the 95 %% interval (n), single values by seed')
    :format(result.metric, result.mode)
  for _, mark in ipairs(result.marks) do lines[#lines + 1] = 'marked: ' .. mark end
  add_arms(lines, result, width)
  add_differences(lines, result, width)
  return lines
end

---All that `runner compare` tells.
---@param result table of compare.compute
---@return string[]
function view.lines(result)
  local lines = view.table(result)
  add_times(lines, result, widths(result.arms))
  add_cost(lines, result, widths(result.arms))
  add_runs(lines, result)
  return lines
end

local function arm_object(arm, result)
  local values = {}
  for _, unit in ipairs(arm.units) do
    values[#values + 1] = { seed = unit.seed, value = unit.value, run = unit.record and unit.record.name }
  end
  return { kind = 'arm', arm = arm.label, metric = result.metric, mode = result.mode, mean = arm.interval.mean,
    half = arm.interval.half, n = arm.interval.n, of = #arm.units, values = values, notes = arm.notes,
    cost = cost.of_arm(arm),
    baseline = arm == result.baseline or nil }
end

---@param result table
---@return string[] one JSON object each
function view.json(result)
  local objects = {}
  for _, arm in ipairs(result.arms) do objects[#objects + 1] = arm_object(arm, result) end
  for _, d in ipairs(result.differences) do
    objects[#objects + 1] = { kind = 'difference', arm = d.arm.label, from = result.baseline.label, mean = d.mean,
      half = d.half, n = d.n, p = d.p, p_holm = d.p_holm, values = d.values, verdict = d.verdict,
      budget = result.budget.text }
  end
  for _, pair in ipairs(result.identical) do
    objects[#objects + 1] = { kind = 'identical', arms = { pair.a.label, pair.b.label }, steps = pair.steps,
      triggers = pair.triggers }
  end
  for _, row in ipairs(result.times and result.times.arms or {}) do
    local ratio = row.ratio or {}
    objects[#objects + 1] = { kind = 'time', arm = row.arm.label, target = result.times.target,
      mean_s = row.interval.mean, half_s = row.interval.half, n = row.interval.n, missing = row.missing,
      mark = ratio.mark, ratio = ratio.interval and ratio.interval.mean,
      ratio_half = ratio.interval and ratio.interval.half }
  end
  for _, mark in ipairs(result.marks) do objects[#objects + 1] = { kind = 'mark', text = mark } end
  for _, record in ipairs(result.records) do
    objects[#objects + 1] = { kind = 'run', run = record.name, state = record.state, seed = record.seed,
      step = record.step, steps = record.steps, started = run_files.state(record.run.path).started }
  end
  for i, object in ipairs(objects) do objects[i] = dkjson.encode(object) end
  return objects
end

return view
