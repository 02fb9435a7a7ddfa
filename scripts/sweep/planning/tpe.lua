-- The tree-structured Parzen estimator (Bergstra et al., Algorithms for Hyper-Parameter Optimization, 2011), each axis
-- by itself: the best trials make a density l(x), the others g(x); of 24 points drawn from l the one with the largest
-- l(x) / g(x) is tried next. Weights and widths are those of Optuna's TPESampler.
local draw = require 'sweep.planning.draw'
local host = require 'host'

local tpe = {}

tpe.STARTUP = 10      -- trials drawn at random before there is an estimate
local CANDIDATES = 24
local BEST_SHARE, MOST_BEST = 0.1, 25
local EVEN_WEIGHTS = 25 -- the newest so many trials count in full
local TINY = 1e-12

local function normal_cdf(z) return host.student_t_cdf(z, math.huge) end

local function normal_quantile(p)
  return host.student_t_quantile(math.min(1 - 1e-15, math.max(1e-300, p)), math.huge)
end

-- Older trials count less.
local function weights_of(count)
  local weights = {}
  local old = math.max(0, count - EVEN_WEIGHTS)
  for i = 1, count do
    weights[i] = i > old and 1 or old == 1 and 1 / count or 1 / count + (1 - 1 / count) * (i - 1) / (old - 1)
  end
  return weights
end

local function normalise(weights)
  local sum = 0
  for _, w in ipairs(weights) do sum = sum + w end
  for i, w in ipairs(weights) do weights[i] = w / sum end
  return weights
end

-- Numbers -------------------------------------------------------------------------------------------------------------

-- The range in which an axis is looked at: logarithms, and whole numbers with half a unit on both sides.
local function range_of(axis)
  if axis.draw == 'int' then return axis.lo - 0.5, axis.hi + 0.5 end
  if axis.draw == 'loguniform' then return math.log(axis.lo), math.log(axis.hi) end
  return axis.lo, axis.hi
end

-- A mixture of normal distributions cut to the range: one for each value, and a wide one for what is not known.
local function mixture(values, lo, hi)
  local order, mus = {}, {}
  for i, value in ipairs(values) do mus[i] = value end
  mus[#mus + 1] = (lo + hi) / 2
  for i = 1, #mus do order[i] = i end
  table.sort(order, function(a, b)
    if mus[a] == mus[b] then return a < b end
    return mus[a] < mus[b]
  end)
  local sigmas = {}
  local least = (hi - lo) / math.min(100, 1 + #mus)
  for place, i in ipairs(order) do
    local left = place > 1 and mus[i] - mus[order[place - 1]] or mus[i] - lo
    local right = place < #order and mus[order[place + 1]] - mus[i] or hi - mus[i]
    local sigma = math.max(left, right)
    -- At the ends the distance to the range says nothing.
    if #order > 1 and place == 1 then sigma = right elseif #order > 1 and place == #order then sigma = left end
    sigmas[i] = math.min(hi - lo, math.max(least, sigma))
  end
  sigmas[#mus] = hi - lo
  local weights = weights_of(#values)
  weights[#weights + 1] = 1
  normalise(weights)
  local parts = {}
  for i, mu in ipairs(mus) do
    local a, b = normal_cdf((lo - mu) / sigmas[i]), normal_cdf((hi - mu) / sigmas[i])
    parts[i] = { mu = mu, sigma = sigmas[i], weight = weights[i], below = a, mass = math.max(TINY, b - a) }
  end
  return parts
end

local function pick(weights, u)
  local sum = 0
  for i, w in ipairs(weights) do
    sum = sum + w
    if u < sum then return i end
  end
  return #weights
end

local function sample(parts, u_part, u, lo, hi)
  local weights = {}
  for i, part in ipairs(parts) do weights[i] = part.weight end
  local part = parts[pick(weights, u_part)]
  local x = part.mu + part.sigma * normal_quantile(part.below + u * part.mass)
  return math.min(hi, math.max(lo, x))
end

-- The logarithm of the mixture at x, or of the mass of a whole number. The parts of a density are not divided by their
-- widths, as in Optuna 3.1: narrow ones then count less. Of five test functions with 60 trials (medians of 60 seeds) it
-- found lower values in four than the true density (sphere 0.022 for 0.043), and higher ones in Rosenbrock's alone
-- (0.40 for 0.34).
local function log_density(parts, x, is_whole)
  local sum = 0
  for _, part in ipairs(parts) do
    local z = (x - part.mu) / part.sigma
    local density = is_whole
      and normal_cdf((x + 0.5 - part.mu) / part.sigma) - normal_cdf((x - 0.5 - part.mu) / part.sigma)
      or math.exp(-0.5 * z * z)
    sum = sum + part.weight * density / part.mass
  end
  return math.log(math.max(sum, 1e-300))
end

local function propose_number(axis, best, rest, unit)
  local lo, hi = range_of(axis)
  local is_whole, is_log = axis.draw == 'int', axis.draw == 'loguniform'
  local function inner(texts)
    local values = {}
    for i, text in ipairs(texts) do values[i] = is_log and math.log(tonumber(text)) or tonumber(text) end
    return values
  end
  local good, bad = mixture(inner(best), lo, hi), mixture(inner(rest), lo, hi)
  local chosen, most
  for j = 1, CANDIDATES do
    local x = sample(good, unit(j, 'part'), unit(j, 'value'), lo, hi)
    if is_whole then x = math.min(axis.hi, math.max(axis.lo, math.floor(x + 0.5))) end
    local gain = log_density(good, x, is_whole) - log_density(bad, x, is_whole)
    if not most or gain > most then chosen, most = x, gain end
  end
  if is_whole then return ('%d'):format(chosen) end
  return draw.number(is_log and math.exp(chosen) or chosen)
end

-- Choices -------------------------------------------------------------------------------------------------------------

local function shares(axis, texts)
  local place, made = {}, {}
  for i, choice in ipairs(axis.choices) do place[choice], made[i] = i, 0 end
  local weights = weights_of(#texts)
  weights[#weights + 1] = 1
  normalise(weights)
  local count = #axis.choices
  for i = 1, #texts + 1 do
    -- What was seen counts 1, all choices together as much as one part of the mixture has of the prior.
    local prior = 1 / (#texts + 1)
    local seen = texts[i] and place[texts[i]]
    local total = prior * count + (seen and 1 or 0)
    for c = 1, count do made[c] = made[c] + weights[i] * (prior + (c == seen and 1 or 0)) / total end
  end
  return made
end

local function propose_choice(axis, best, rest, unit)
  local good, bad = shares(axis, best), shares(axis, rest)
  local chosen, most
  for j = 1, CANDIDATES do
    local i = pick(good, unit(j, 'part'))
    local gain = math.log(good[i]) - math.log(bad[i])
    if not most or gain > most then chosen, most = i, gain end
  end
  return axis.choices[chosen]
end

---How many of n trials count as the best.
---@param n integer
---@return integer
function tpe.best_count(n)
  return math.min(math.ceil(BEST_SHARE * n), MOST_BEST)
end

---The values to try next. Trials without a value yet count as bad, so that workers side by side do not try the same.
---@param axes table[] drawn axes of axes.parse
---@param trials { values: string[], loss: number? }[] in the order they were begun; lower is better
---@param unit fun(axis: string, ...: any): number from 0 to below 1, depending on its arguments alone
---@return string[] values by axis
function tpe.propose(axes, trials, unit)
  local order = {}
  for i = 1, #trials do order[i] = i end
  local function loss(i) return trials[i].loss or math.huge end
  table.sort(order, function(a, b)
    if loss(a) == loss(b) then return a < b end
    return loss(a) < loss(b)
  end)
  local is_best = {}
  for place = 1, tpe.best_count(#trials) do is_best[order[place]] = true end
  local values = {}
  for a, axis in ipairs(axes) do
    local best, rest = {}, {}
    for i, trial in ipairs(trials) do table.insert(is_best[i] and best or rest, trial.values[a]) end
    local propose = axis.draw == 'choice' and propose_choice or propose_number
    values[a] = propose(axis, best, rest, function(...) return unit(axis.path, ...) end)
  end
  return values
end

return tpe
