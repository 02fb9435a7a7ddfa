-- A comparison as a table for other programs: CSV (RFC 4180), or Markdown for a report. A row for each arm.
local cost = require 'compare.cost'
local columns = require 'base.columns'
local findings = require 'compare.findings'

local tables = {}

local COLUMNS = { 'arm', 'metric', 'n', 'of', 'mean', 'half', 'baseline', 'difference', 'difference_half', 'p_holm',
  'verdict', 'cpu_s', 'wall_s', 'targets' }

local function rows(result)
  local made, differences = {}, {}
  for _, d in ipairs(result.differences) do differences[d.arm] = d end
  for i, arm in ipairs(result.arms) do
    local d, took = differences[arm] or {}, cost.of_arm(arm)
    local is_baseline = arm == result.baseline
    made[i] = { arm = arm.label, metric = result.metric .. '.' .. result.mode, n = arm.interval.n, of = #arm.units,
      mean = arm.interval.mean, half = arm.interval.half, baseline = not is_baseline and result.baseline.label or nil,
      difference = d.mean, difference_half = d.half, p_holm = d.p_holm,
      verdict = d.verdict or not is_baseline and 'identical to the baseline' or nil, cpu_s = took.cpu_s,
      wall_s = took.wall_s, targets = took.targets }
  end
  return made
end

local function quoted(value)
  if value == nil then return '' end
  local text = type(value) == 'number' and ('%.17g'):format(value) or tostring(value)
  if type(value) == 'number' and tonumber(('%.15g'):format(value)) == value then text = ('%.15g'):format(value) end
  return text:find '[",\n\r]' and ('"%s"'):format((text:gsub('"', '""'))) or text
end

---@param result table of compare.compute
---@return string[] lines the first one names the columns; half: of the 95 % interval
function tables.csv(result)
  local lines = { table.concat(COLUMNS, ',') }
  for _, row in ipairs(rows(result)) do
    local cells = {}
    for i, name in ipairs(COLUMNS) do cells[i] = quoted(row[name]) end
    lines[#lines + 1] = table.concat(cells, ',')
  end
  return lines
end

---@param result table of compare.compute
---@return string[] lines
function tables.markdown(result)
  local texts = { { 'arm', ('%s, %s of each run (n)'):format(result.metric, result.mode),
    ('difference from `%s`'):format(result.baseline.label), 'p (Holm)', 'verdict', 'CPU s a run' } }
  for _, row in ipairs(rows(result)) do
    local difference = row.difference and findings.interval_text { n = 0, mean = row.difference,
      half = row.difference_half } or ''
    texts[#texts + 1] = { ('`%s`'):format(row.arm),
      findings.interval_text { n = row.n, mean = row.mean, half = row.half }, (difference:gsub(' %(0%)$', '')),
      row.p_holm and ('%.2g'):format(row.p_holm) or '', row.verdict or '',
      row.cpu_s and ('%.1f'):format(row.cpu_s) or '' }
  end
  local lines = columns.markdown(texts)
  for _, mark in ipairs(result.marks) do lines[#lines + 1] = '\n' .. (mark:gsub('|', '\\|')) end
  return lines
end

return tables
