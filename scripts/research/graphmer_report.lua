-- What a GraphMER told of masked tokens, beside what is told without learning.
local baselines = require 'graph.baselines'
local columns = require 'base.columns'
local graphmer = require 'research.graphmer'
local pretty = require 'pretty'

local report = {}

local RULES = {
  { 'common', 'the most common token of its kind' },
  { 'place', 'that of its relation and place in the leaf' },
  { 'copy', 'a token copied from the code' },
  { 'shown', 'copied without a mistake' },
}
report.PARTS = { { 'mlm', 'masked code' }, { 'mnm', 'masked facts' }, { 'tails', 'of them tails' } }

---The baselines of a graph on the masked tokens of its val batches.
---@param graph table of graphmer.graph
---@param batches Batches
---@return table of baselines.measure
function report.baselines(graph, batches)
  local special, _, names = graph.tokenizer.special, graphmer.tails(graph)
  return baselines.measure(baselines.common(graph.samples, graph.parts.train, special), batches, special, names)
end

-- Adds to a sum of hits.
local function add(sum, part)
  sum.n, sum.correct = sum.n + part.n, sum.correct + part.correct
end

---Hits of several measurements taken together, by part and rule.
---@param all table[] of baselines.measure
---@return table
function report.sum(all)
  local sums = {}
  for _, one in ipairs(all) do
    for part, rules in pairs(one) do
      sums[part] = sums[part] or {}
      for rule, hits in pairs(rules) do
        sums[part][rule] = sums[part][rule] or { n = 0, correct = 0 }
        add(sums[part][rule], hits)
      end
    end
  end
  return sums
end

---Prints accuracies of a model, or of arms, as k of n with Wilson's intervals, and the baselines below them.
---@param told { [1]: string, [2]: table<string, { n: integer, correct: integer }> }[] name and parts mlm, mnm, tails
---@param rules table of report.baselines
---@param vocab integer
function report.print(told, rules, vocab)
  local rows = { { 'val', 'told by', 'right' } }
  for _, part in ipairs(report.PARTS) do
    for i, one in ipairs(told) do
      rows[#rows + 1] = { i == 1 and part[2] or '', one[1], graphmer.accuracy(one[2][part[1]]) }
    end
    for _, rule in ipairs(RULES) do
      local hits = rules[part[1]][rule[1]]
      if hits then rows[#rows + 1] = { '', rule[2], graphmer.accuracy(hits) } end
    end
  end
  print(table.concat(columns.lines(rows), '\n'))
  print(('Guessing is right %.2f %% of the time: one of %s tokens.'):format(100 / vocab, pretty.count(vocab)))
end

return report
