-- Statistics of several seeds (guards/README.md, Statistics). What is not defined is nil and triggers nothing (G46):
-- the spread of one value, an interval without spread. Knows nothing of runs.
local host = require 'host'

local statistics = {}

statistics.LEVEL = 0.95     -- of every interval that is printed
statistics.LEAST_SEEDS = 3  -- below, nothing is claimed
local NO_SPREAD = 1e-20     -- smaller spreads count as zero, and so does one
local ROUNDING = 1e-12      -- below this share of the largest value, which is what rounding leaves
local LARGEST_EXPONENT = 50 -- a perplexity above e^50 is not a number that anybody measured

---@param values number[]
---@return number? mean nil without values
function statistics.mean(values)
  if #values == 0 then return nil end
  local sum = 0
  for _, value in ipairs(values) do sum = sum + value end
  return sum / #values
end

---The sample standard deviation, with n - 1.
---@param values number[]
---@return number? sd nil below two values
function statistics.sd(values)
  if #values < 2 then return nil end
  local mean, sum = statistics.mean(values), 0
  for _, value in ipairs(values) do sum = sum + (value - mean) ^ 2 end
  return math.sqrt(sum / (#values - 1))
end

---The quantile at a share of the values, between two of them by their distance (type 7 of Hyndman and Fan 1996).
---@param values number[]
---@param share number from 0 to 1
---@return number? nil without values
function statistics.quantile(values, share)
  if #values == 0 then return nil end
  local sorted = { unpack(values) }
  table.sort(sorted)
  local place = 1 + share * (#sorted - 1)
  local below = math.floor(place)
  local above = sorted[below + 1] or sorted[below]
  return sorted[below] + (place - below) * (above - sorted[below])
end

-- Whether values vary by more than rounding.
local function varies(values, sd)
  local largest = 0
  for _, value in ipairs(values) do largest = math.max(largest, math.abs(value)) end
  return sd ~= nil and sd > NO_SPREAD and sd > ROUNDING * largest
end

---Mean and half width of its interval by Student's t with n - 1 degrees of freedom. `half` is nil below two values,
---or when they do not vary but for rounding.
---@param values number[]
---@param level? number default 0.95
---@return { n: integer, mean: number?, half: number?, sd: number? }
function statistics.interval(values, level)
  local n, sd = #values, statistics.sd(values)
  local made = { n = n, mean = statistics.mean(values), sd = sd }
  if varies(values, sd) then
    made.half = host.student_t_quantile(0.5 + (level or statistics.LEVEL) / 2, n - 1) * sd / math.sqrt(n)
  end
  return made
end

---The interval of paired differences, with the two-sided p value of a mean of 0. `p` is nil where there is no interval.
---@param differences number[]
---@return { n: integer, mean: number?, half: number?, sd: number?, p: number? }
function statistics.paired(differences)
  local made = statistics.interval(differences)
  if made.half then
    local t = made.mean / (made.sd / math.sqrt(made.n))
    made.p = 2 * host.student_t_cdf(-math.abs(t), made.n - 1)
  end
  return made
end

---p values of several comparisons after Holm's correction: the smallest times m, the next times m - 1 and so on,
---never falling, at most 1. Holm 1979, "A simple sequentially rejective multiple test procedure".
---@param p number[]
---@return number[]
function statistics.holm(p)
  local order, adjusted, highest = {}, {}, 0
  for i = 1, #p do order[i] = i end
  table.sort(order, function(a, b) return p[a] < p[b] end)
  for rank, i in ipairs(order) do
    highest = math.max(highest, math.min(1, p[i] * (#p - rank + 1)))
    adjusted[i] = highest
  end
  return adjusted
end

---The interval of a share k of n by Wilson's score, for accuracies. Wilson 1927, "Probable inference".
---@param k integer
---@param n integer
---@param level? number default 0.95
---@return number? low, number? high nil for n = 0
function statistics.wilson(k, n, level)
  if n == 0 then return nil, nil end
  local z = host.student_t_quantile(0.5 + (level or statistics.LEVEL) / 2, math.huge)
  local centre = (k + z * z / 2) / (n + z * z)
  local half = z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
  return centre - half, centre + half
end

---e to a loss in nats. Above 50 nats the text is ">e50" and there is no number (guard G07).
---@param nats number
---@return string text, number? value
function statistics.perplexity(nats)
  if nats ~= nats then return 'NA', nil end
  if nats > LARGEST_EXPONENT then return '>e50', nil end
  local value = math.exp(nats)
  return ('%.2f'):format(value), value
end

---Whether two numbers are the same in their first 12 digits; NaN is the same as NaN.
---@param a number
---@param b number
---@return boolean
function statistics.same(a, b)
  if a ~= a or b ~= b then return a ~= a and b ~= b end
  return ('%.12g'):format(a) == ('%.12g'):format(b)
end

return statistics
