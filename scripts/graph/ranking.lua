-- Places of right answers among candidates, by score, and what they come to: MRR and Hits@10 with intervals over the
-- questions, and what a random order would come to.
local pretty = require 'pretty'
local statistics = require 'statistics'
local torch = require 'torch'

local ranking = {}

local LOWEST = -1e30

---Ranks of the right candidates. Of those with the same score half stand before the right one, so that a model which
---says the same of all gains nothing by it.
---@param scores Tensor (questions, candidates)
---@param gold integer[] the right candidate of each question, from 0
---@param left_out? integer[][] candidates of each question that count as absent, from 0: other right answers
---@return number[] ranks from 1
---@return integer[] candidates that each question has, its right one among them
function ranking.ranks(scores, gold, left_out)
  local candidates, absent, sizes = scores:size(1), {}, {}
  for q = 1, #gold do
    sizes[q] = candidates
    for _, c in ipairs(left_out and left_out[q] or {}) do
      if c ~= gold[q] then absent[#absent + 1], sizes[q] = (q - 1) * candidates + c, sizes[q] - 1 end
    end
  end
  if #absent > 0 then
    local flat = scores:flatten():index_fill(0, torch.tensor(absent, { dtype = 'int64' }), LOWEST)
    scores = flat:view { #gold, candidates }
  end
  local own = scores:gather(1, torch.tensor(gold, { dtype = 'int64' }):unsqueeze(1))
  local before, same = scores:gt(own):sum(1):tolist(), scores:eq(own):sum(1):tolist()
  local ranks = {}
  for q = 1, #gold do ranks[q] = 1 + before[q] + (same[q] - 1) / 2 end
  return ranks, sizes
end

---What ranks come to. `most`: a rank beyond gives 0 (MRR@10); all count otherwise.
---@param ranks number[]
---@param most? integer
---@return { n: integer, reciprocals: number[], mrr: number?, half: number?, hits: integer } half: of mrr's interval
function ranking.summary(ranks, most)
  local made = { n = #ranks, reciprocals = {}, hits = 0 }
  for i, rank in ipairs(ranks) do
    made.reciprocals[i] = (not most or rank <= most) and 1 / rank or 0
    if rank <= 10 then made.hits = made.hits + 1 end
  end
  local interval = statistics.interval(made.reciprocals)
  made.mrr, made.half = interval.mean, interval.half
  return made
end

---What a random order is expected to come to.
---@param sizes integer[] candidates of each question
---@param most? integer
---@return { n: integer, mrr: number?, hits: number } hits: expected, so no whole number
function ranking.random(sizes, most)
  local sum, hits = 0, 0
  for _, size in ipairs(sizes) do
    local harmonic = 0
    for rank = 1, math.min(size, most or size) do harmonic = harmonic + 1 / rank end
    sum, hits = sum + harmonic / size, hits + math.min(1, 10 / size)
  end
  return { n = #sizes, mrr = #sizes > 0 and sum / #sizes or nil, hits = hits }
end

---A row of a table: name, MRR with its interval, Hits@10 as k of n with Wilson's.
---@param name string
---@param summary table of ranking.summary or ranking.random
---@return string[]
function ranking.row(name, summary)
  if summary.n == 0 then return { name, 'no question', '' } end
  local mrr, n = ('%.4f'):format(summary.mrr), summary.n
  if not summary.reciprocals then
    return { name, mrr .. ' expected', ('%.1f of %s = %.1f %% expected'):format(summary.hits, pretty.count(n),
      100 * summary.hits / n) }
  end
  local low, high = statistics.wilson(summary.hits, n)
  return { name, summary.half and ('%s +- %.4f'):format(mrr, summary.half) or mrr,
    ('%s of %s = %.1f %% (%.1f to %.1f %%)'):format(pretty.count(summary.hits), pretty.count(n),
      100 * summary.hits / n, 100 * low, 100 * high) }
end

return ranking
