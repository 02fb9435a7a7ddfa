-- Configurations over several seeds within one script: each cell trains on its own, into its own run directory, and
-- the table says what may be said. For experiments that compare; `runner sweep` takes over where cells are to run
-- apart.
--
--   local result = arms.run { seeds = { 1, 2, 3 }, baseline = 'dense',
--     arms = { { 'dense', train_dense }, { 'tree', train_tree } } }   -- function(seed) -> { val_loss = 1.5, ... }
--   arms.print(result, { { 'val_loss', 'val loss' } })
local columns_of = require 'base.columns'
local findings = require 'compare.findings'
local guards = require 'guards.registry'
local experiment = require 'experiment'
local fail = require 'fail'
local options = require 'options'
local statistics = require 'statistics'
local torch = require 'torch'

local arms = {}

local SPEC = { seeds = 'list', arms = 'list', baseline = 'string?', unit = { 'string', 'seed' } }

local function find(result, name)
  for _, arm in ipairs(result.arms) do
    if arm.name == name then return arm end
  end
  return fail.config("arms: there is no arm '%s'", tostring(name))
end

---Runs every arm with every seed, the seed given to LibTorch's generator before each cell. An arm is {name,
---function(seed)}; the function returns a table of numbers. Under --fast-dev-run one seed is enough. `unit` is what a
---sentence calls a repetition.
---@param given { seeds: integer[], arms: table[], baseline: string?, unit: string? }
---@return { seeds: integer[], arms: { name: string, cells: table[] }[], baseline: string, unit: string }
function arms.run(given)
  local o = options.check('arms.run', given, SPEC)
  if #o.seeds == 0 or #o.arms == 0 then fail.config('arms.run: at least one %s and one arm are needed', o.unit) end
  local known = {}
  for _, seed in ipairs(o.seeds) do
    if known[seed] then
      fail.config('arms.run: %s %s is given twice; the same training again gives no new value', o.unit,
        tostring(seed))
    end
    known[seed] = true
  end
  local seeds = experiment.current().flags.fast_dev_run and { o.seeds[1] } or o.seeds
  local result = { seeds = seeds, arms = {}, baseline = o.baseline or o.arms[1][1], unit = o.unit }
  for i, arm in ipairs(o.arms) do result.arms[i] = { name = arm[1], cells = {} } end
  find(result, result.baseline)
  for s, seed in ipairs(seeds) do -- seeds outside: an interrupted experiment has whole pairs
    for i, arm in ipairs(o.arms) do
      torch.manual_seed(seed)
      local cell = arm[2](seed)
      if type(cell) ~= 'table' then
        fail.raise(1, "arms.run: arm '%s' must return a table of numbers, got %s", arm[1], type(cell))
      end
      result.arms[i].cells[s] = cell
    end
  end
  return result
end

---The values of a metric over the seeds; a cell without it is left out.
---@param arm { cells: table[] }
---@param metric string
---@return number[]
function arms.values(arm, metric)
  local values = {}
  for _, cell in ipairs(arm.cells) do values[#values + 1] = cell[metric] end
  return values
end

---The same cells looked at from another baseline, or fewer of them.
---@param result table of arms.run
---@param baseline string
---@param names? string[] of the arms to keep; all, if left out
---@return table result as of arms.run
function arms.against(result, baseline, names)
  local kept = result.arms
  if names then
    kept = {}
    for i, name in ipairs(names) do kept[i] = find(result, name) end
  end
  local view = { seeds = result.seeds, arms = kept, baseline = baseline, unit = result.unit }
  find(view, baseline)
  return view
end

---The paired differences of every other arm from the baseline, with Holm's correction and what may be said of them.
---@param result table of arms.run
---@param metric string
---@return { name: string, n: integer, mean: number?, half: number?, p_holm: number?, verdict: string }[]
function arms.differences(result, metric)
  local baseline, found, p_values, tested = find(result, result.baseline), {}, {}, {}
  for _, arm in ipairs(result.arms) do
    if arm ~= baseline then
      local values, same = {}, true
      for s, cell in ipairs(arm.cells) do
        local own, other = cell[metric], baseline.cells[s][metric]
        if own and other then
          values[#values + 1] = own - other
          same = same and statistics.same(own, other)
        end
      end
      local d = statistics.paired(values)
      d.name, d.same = arm.name, same and #values > 0
      found[#found + 1] = d
      if d.p and d.n >= statistics.LEAST_SEEDS and not d.same then
        p_values[#p_values + 1], tested[#tested + 1] = d.p, d
      end
    end
  end
  for i, p in ipairs(statistics.holm(p_values)) do tested[i].p_holm = p end
  for _, d in ipairs(found) do d.verdict = findings.verdict(d, #tested, { unit = result.unit }) end
  return found
end

-- How the numbers of a metric are written: whole ones as such, where all of them are whole, and means of those with
-- one decimal.
local function format_of(result, metric)
  for _, arm in ipairs(result.arms) do
    for _, value in ipairs(arms.values(arm, metric)) do
      if value % 1 ~= 0 then return findings.number end
    end
  end
  return function(value) return (value % 1 == 0 and '%d' or '%.1f'):format(value) end
end

-- "1.5000 +- 0.2484 (3)", "447745 (3)" where there is no interval, "-" where there is no value.
local function cell_text(interval, format)
  if interval.n == 0 then return '-' end
  return interval.half and findings.interval_text(interval, format)
    or ('%s (%d)'):format(format(interval.mean), interval.n)
end

---The table: a row for each arm, a column "mean +- half width of the 95 % interval (n)" for each metric.
---@param result table of arms.run
---@param columns { [1]: string, [2]: string }[] metric and title
---@return string[] lines
function arms.lines(result, columns)
  local rows = { { 'arm' } }
  for i, column in ipairs(columns) do rows[1][i + 1] = column[2] end
  for r, arm in ipairs(result.arms) do
    rows[r + 1] = { arm.name }
    for i, column in ipairs(columns) do
      rows[r + 1][i + 1] = cell_text(statistics.interval(arms.values(arm, column[1])), format_of(result, column[1]))
    end
  end
  return columns_of.lines(rows)
end

---Prints each arm's difference from the baseline.
---@param result table of arms.run
---@param metric string
---@param title string
function arms.print_differences(result, metric, title)
  if #result.arms < 2 then return end
  print(("\n%s, difference from '%s', paired by %s"):format(title, result.baseline, result.unit))
  local rows = {}
  for i, d in ipairs(arms.differences(result, metric)) do
    rows[i] = { d.name, cell_text(d, format_of(result, metric)),
      d.verdict .. (d.p_holm and ('  p %.2g'):format(d.p_holm) or '') }
  end
  print(table.concat(columns_of.lines(rows), '\n'))
end

-- Numbers of a cell that say how long something took, in which equal trainings differ, or how much was planned, in
-- which different ones are equal.
local NOT_RESULTS = { '_s$', '_ms$', '^seconds$', '^updates$', '^parameters$' }

local function is_result(metric)
  for _, pattern in ipairs(NOT_RESULTS) do
    if metric:find(pattern) then return false end
  end
  return true
end

local function same_cell(a, b)
  local compared = 0
  for metric, value in pairs(a) do
    if type(value) == 'number' and b[metric] and is_result(metric) then
      if not statistics.same(value, b[metric]) then return false end
      compared = compared + 1
    end
  end
  return compared > 0
end

---The arms that have all numbers in common with the baseline, to 12 digits in every seed but for times (guard G35):
---whatever was meant to make them differ did nothing.
---@param result table of arms.run
---@return string[] names
function arms.identical(result)
  local baseline, names = find(result, result.baseline), {}
  for _, arm in ipairs(result.arms) do
    local same = arm ~= baseline and #arm.cells > 0
    for s, cell in ipairs(arm.cells) do same = same and same_cell(cell, baseline.cells[s]) end
    if same then names[#names + 1] = arm.name end
  end
  return names
end

---Prints the table and, for the first column, each arm's difference from the baseline; says which arms are identical.
---@param result table of arms.run
---@param columns { [1]: string, [2]: string }[]
function arms.print(result, columns)
  print(table.concat(arms.lines(result, columns), '\n'))
  for _, name in ipairs(arms.identical(result)) do
    print('warning: ' .. guards.say('G35', "arms '%s' and '%s' are identical, to 12 digits in every %s: nothing that "
      .. 'makes them differ was at work', result.baseline, name, result.unit))
  end
  arms.print_differences(result, columns[1][1], columns[1][2])
end

---"path ends at 2.3281 +- 0.0810 (3) nats of val loss", for each arm.
---@param result table of arms.run
---@param metric string
---@param what string
---@return string
function arms.sentence(result, metric, what)
  local parts = {}
  for i, arm in ipairs(result.arms) do
    local interval = statistics.interval(arms.values(arm, metric))
    parts[i] = ('%s ends at %s %s'):format(arm.name, cell_text(interval, format_of(result, metric)), what)
  end
  return table.concat(parts, ', ')
end

---One sentence for each claim that the first metric allows; "lower" is better.
---@param result table of arms.run
---@param metric string
---@param what string such as 'val loss'
---@return string
function arms.finding(result, metric, what)
  if #result.arms == 1 then
    return ('Found: %s; nothing to compare it with.'):format(arms.sentence(result, metric, what))
  end
  return findings.sentence(arms.differences(result, metric), { what = what, baseline = result.baseline,
    over = ('%d %s%s'):format(#result.seeds, result.unit, #result.seeds == 1 and '' or 's') })
end

return arms
