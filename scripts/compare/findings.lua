-- What may be said of means and differences over seeds, in words (guards/README.md, Statistics; G39).
local statistics = require 'statistics'

local findings = {}

---A number with four digits behind the point, or four in all where it is very small or large.
---@param value number?
---@return string
function findings.number(value)
  if not value then return 'NA' end
  local size = math.abs(value)
  return (size == 0 or (size >= 1e-3 and size < 1e6)) and ('%.4f'):format(value) or ('%.4g'):format(value)
end
local number = findings.number

---"1.5000 +- 0.2484 (3)"; without an interval NA stands for its half width.
---@param interval { n: integer, mean: number?, half: number? }
---@param format? fun(value: number): string
---@return string
function findings.interval_text(interval, format)
  format = format or number
  if not interval.mean then return ('NA (%d)'):format(interval.n) end
  return ('%s +- %s (%d)'):format(format(interval.mean), interval.half and format(interval.half) or 'NA', interval.n)
end

---What may be said of a paired difference: only 'lower' and 'higher' are claims.
---@param d { n: integer, mean: number?, half: number?, p_holm: number?, same: boolean?, no_claim: string? }
---@param comparisons integer how many p values Holm's correction was over
---@param budget { unequal: boolean?, intended: boolean?, unit: string? } unit: what a repetition is called (seed)
---@return string
function findings.verdict(d, comparisons, budget)
  local unit = budget.unit or 'seed'
  if d.n == 0 then return ('no common %s: no claim'):format(unit) end
  if d.no_claim then return ('no claim: %s says that there is nothing to learn'):format(d.no_claim) end
  if d.n < statistics.LEAST_SEEDS then return ('n = %d: no claim'):format(d.n) end
  if d.same then return ('equal to 12 digits in every common %s: no claim'):format(unit) end
  if not d.half then return 'the differences do not vary: no interval, no claim' end
  if math.abs(d.mean) <= d.half then
    return ('effect smaller than noise; these %ss could have shown %s'):format(unit, number(d.half))
  end
  if d.p_holm > 1 - statistics.LEVEL then
    return ("not significant after Holm's correction for %d comparisons"):format(comparisons)
  end
  if budget.unequal and not budget.intended then return 'no claim: the budgets differ' end
  return d.mean < 0 and 'lower' or 'higher'
end

---One sentence for the differences from a baseline; "lower" is better.
---@param differences { name: string, n: integer, verdict: string }[]
---@param about { what: string, baseline: string, over: string } what: such as 'val loss'; over: such as '3 seeds'
---@return string
function findings.sentence(differences, about)
  local better, worse, rest, none = {}, {}, {}, {}
  for _, d in ipairs(differences) do
    local list = d.n == 0 and none or d.verdict == 'lower' and better or d.verdict == 'higher' and worse or rest
    list[#list + 1] = ('\'%s\''):format(d.name)
  end
  local parts = {}
  local function add(list, text)
    if #list > 0 then parts[#parts + 1] = text:format(table.concat(list, ', ')) end
  end
  add(better, 'lower for %s')
  add(worse, 'higher for %s')
  add(rest, 'no difference can be claimed for %s')
  add(none, 'no values to compare for %s')
  if #parts == 0 then parts[1] = 'nothing, for all arms are identical' end
  return ("Found for %s, against '%s' over %s: %s."):format(about.what, about.baseline, about.over,
    table.concat(parts, '; '))
end

---What an interval over seeds says of a sign, in words.
---@param interval { n: integer, mean: number?, half: number? }
---@param above string the claim where the whole interval is above 0
---@param below string and where it is below
---@return string
function findings.sign(interval, above, below)
  if interval.n < statistics.LEAST_SEEDS then return ('no claim: n = %d'):format(interval.n) end
  if not interval.half then return 'no claim: the values do not vary' end
  if math.abs(interval.mean) <= interval.half then return 'no claim: the interval contains 0' end
  return interval.mean > 0 and above or below
end

return findings
