-- What a sweep found: its configurations as arms, and one sentence. Of many only the best are shown.
local compute = require 'compare.compute'
local fail = require 'fail'
local findings = require 'compare.findings'
local plan = require 'sweep.planning.plan'
local pretty = require 'pretty'
local run_select = require 'runs.select'
local shared = require 'sweep.study.shared'
local status = require 'sweep.status'
local top = require 'sweep.actions.top'
local view = require 'compare.view'

local answer = {}

local MOST_ARMS = 20

local function label_of(metric) return (metric:gsub('_', ' ')) end

-- Seeds that count in the baseline.
local function over(result)
  local n = #result.baseline.numbers
  return pretty.plural(n, 'seed')
end

-- Finished cells whose runs are not here.
local function count_elsewhere(folder)
  if not shared.of(folder) then return 0 end
  local count = 0
  for _, row in ipairs(status.rows(folder, plan.read(folder))) do
    if row.now.state == 'done' and row.now.elsewhere then count = count + 1 end
  end
  return count
end

---The lines that end a sweep; none when its script trained nothing.
---@param found { path: string } the sweep
---@param head table of its plan
---@param is_trial boolean of --fast-dev-run
---@return string[]
function answer.lines(found, head, is_trial)
  if is_trial then return { 'Found nothing: every cell was tried for some batches only (--fast-dev-run).' } end
  local elsewhere = count_elsewhere(found.path)
  if elsewhere > 0 then
    local ok, lines = pcall(top.lines, found, { metric = head.metric, maximize = head.maximize })
    if not ok and not fail.is(lines) then error(lines, 0) end
    lines = ok and lines or { ('Found nothing: %s'):format(tostring(lines)) }
    lines[#lines + 1] = ('%s ran on other machines, so `runner compare` on this machine sees only the rest'):format(
      pretty.plural(elsewhere, 'cell'))
    return lines
  end
  local have_runs, runs = pcall(run_select.all, { found.path })
  if not have_runs then return {} end -- a script that trains nothing
  local ok, result = pcall(compute, runs, { metric = head.metric, allow_mixed = true })
  if not ok then
    if not fail.is(result) then error(result, 0) end
    return { ('Found nothing: %s'):format(tostring(result)) }
  end
  if #result.arms > MOST_ARMS then return top.lines(found, { metric = head.metric, maximize = head.maximize }) end
  local lines = view.table(result)
  if #result.arms == 1 then
    local arm = result.arms[1]
    lines[#lines + 1] = ''
    lines[#lines + 1] = ('Found: %s of %s; nothing to compare it with.'):format(findings.interval_text(arm.interval),
      label_of(result.metric))
    return lines
  end
  local differences = {}
  for i, d in ipairs(result.differences) do differences[i] = { name = d.arm.label, n = d.n, verdict = d.verdict } end
  lines[#lines + 1] = ''
  lines[#lines + 1] = findings.sentence(differences, { what = label_of(result.metric),
    baseline = result.baseline.label, over = over(result) })
  return lines
end

return answer
