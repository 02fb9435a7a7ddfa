-- From a few timed updates to the time of many later ones, as an interval: contiguous blocks of the timed updates are
-- drawn anew, with a seed of their own, so that the same timings always tell the same.
--
-- The mean of a stretch that was timed is not that of the hours behind it. Updates that follow one another are alike
-- (a page cache, another program, a CPU that grew warm), so errors do not shrink with the number of updates as those of
-- independent draws do. A resample therefore takes as the level of all that is to come
--
--   mean + widening (mean of one block - mean)        blocks of a fifth of the timed updates
--   times trend^u, u even between -1/2 and 1          trend: median of the second half over that of the first
--   times 1 + w v, v between -1 and 1, rarely far out w: the share of the time that its threads waited for a core
--
-- One block's spread is not divided by the root of the number of blocks: this is what is left for drift. The widening
-- is Student's t over the normal quantile, for a spread that is known of five blocks only. Where other programs held
-- the cores, they may leave, or as many more may come. On top of the level comes what later blocks themselves scatter,
-- which matters where few updates are to come.
local host = require 'host'
local statistics = require 'statistics'

local resample = {}

resample.LEVEL = 0.9 -- of the interval
local RESAMPLES, BLOCKS, SEED = 1000, 5, 20
local LATER = 8 -- later blocks that a resample draws; their mean is scaled to as many as there will be

-- Park and Miller 1988, "Random number generators": exact in doubles, and no draw of the script's own.
local function generator(seed)
  local state = seed
  return function()
    state = state * 16807 % 2147483647
    return state / 2147483647
  end
end

-- Means of all contiguous blocks; the last ones go on at the beginning, so that each value is in as many.
local function block_means(values, length)
  local means = {}
  for i = 1, #values do
    local sum = 0
    for j = 0, length - 1 do sum = sum + values[(i + j - 1) % #values + 1] end
    means[i] = sum / length
  end
  return means
end

---The median of the second half over that of the first.
---@param values number[] at least two
---@return number
function resample.trend(values)
  local half = math.floor(#values / 2)
  local first, second = {}, {}
  for i = 1, half do first[i], second[i] = values[i], values[#values - half + i] end
  return statistics.quantile(second, 0.5) / statistics.quantile(first, 0.5)
end

---What may come, of timed values: for each resample the level, and how far a later block of `block` values is from it
---on average, both as shares of the mean.
---@param values number[] at least two, all above 0
---@param waiting? number share of the time that the process waited for a core, 0
---@return { mean: number, block: integer, level: number[], scatter: number[] }
function resample.draw(values, waiting)
  local random, mean = generator(SEED), statistics.mean(values)
  local length = math.ceil(#values / BLOCKS)
  local means, trend = block_means(values, length), resample.trend(values)
  local share = 0.5 + resample.LEVEL / 2
  local widening = host.student_t_quantile(share, BLOCKS - 1) / host.student_t_quantile(share, math.huge)
  local function block() return means[math.floor(random() * #means) + 1] / mean end
  local drawn = { mean = mean, block = length, level = {}, scatter = {} }
  for i = 1, RESAMPLES do
    local level = 1 + widening * (block() - 1)
    level = math.max(level, 0.01) * trend ^ (1.5 * random() - 0.5)
    drawn.level[i] = level * (1 + (waiting or 0) * (random() - random()))
    local sum = 0
    for _ = 1, LATER do sum = sum + block() - 1 end
    drawn.scatter[i] = sum / math.sqrt(LATER)
  end
  return drawn
end

---The time of n further updates and of what goes by beside them, in the unit of the values.
---@param drawn table of resample.draw
---@param n number updates
---@param beside? number start-up, evals, checkpoints: they run on the same machine, so they share its level
---@return { low: number, mid: number, high: number } quantiles of the resamples
function resample.total(drawn, n, beside)
  local totals, blocks = {}, math.max(n / drawn.block, 1)
  for i, level in ipairs(drawn.level) do
    totals[i] = level * (n * drawn.mean * (1 + drawn.scatter[i] / math.sqrt(blocks)) + (beside or 0))
  end
  local tail = (1 - resample.LEVEL) / 2
  return { low = statistics.quantile(totals, tail), mid = statistics.quantile(totals, 0.5),
    high = statistics.quantile(totals, 1 - tail) }
end

return resample
