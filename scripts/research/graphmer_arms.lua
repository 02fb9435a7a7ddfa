-- Arms of experiments on GraphMER: what the model sees of relations, and the table of a comparison.
local arms = require 'arms'
local graphmer = require 'research.graphmer'
local report = require 'research.graphmer_report'
local split = require 'graph.split'
local torch = require 'torch'

local graphmer_arms = {}

---A view (graphmer.see) in which no token has a relation.
---@param x Tensor (B, 2, T)
---@return Tensor
function graphmer_arms.no_relations(x)
  return torch.stack({ x:select(1, 0), torch.zeros_like(x:select(1, 1)) }, 1)
end

---A view in which the relation of a leaf's token follows from the token's place in the row alone. For each place one is
---drawn by the seed, as often as it occurs in the training part: the same parameters get the same kind of numbers,
---which mean nothing.
---@param graph table of graphmer.graph
---@param seed integer
---@return fun(x: Tensor): Tensor
function graphmer_arms.shuffled_relations(graph, seed)
  local samples, all, drawn = graph.samples, {}, {}
  for _, n in ipairs(graph.parts.train) do
    for at = samples.offsets[n] + 1, samples.offsets[n + 1] do
      if samples.rel[at] > 0 then all[#all + 1] = samples.rel[at] end
    end
  end
  for place = 1, samples.counts.longest do
    drawn[place] = all[1 + math.floor(split.place(('%d %d'):format(seed, place)) * #all)]
  end
  local of_place = torch.tensor(drawn, { dtype = 'int64' })
  return function(x)
    local relations = x:select(1, 1)
    local shown = of_place:narrow(0, 0, x:size(2)):unsqueeze(0):expand_as(relations)
    return torch.stack({ x:select(1, 0), torch.where(relations:gt(0), shown, torch.zeros_like(relations)) }, 1)
  end
end

local function percent(part) return part.n > 0 and 100 * part.correct / part.n or nil end

---Runs arms over seeds: each is {name, function(seed) -> what graphmer.fit takes as third}.
---@param cfg table of the experiment, with compare.seeds
---@param graph table
---@param list table[]
---@param baseline? string
---@return table result of arms.run, with `told`, hits by arm over all seeds, and `rules`, those of the baselines
function graphmer_arms.run(cfg, graph, list, baseline)
  local told, rules, made = {}, {}, {}
  for i, arm in ipairs(list) do
    local all = {}
    told[i] = { arm[1], all }
    made[i] = { arm[1], function(seed)
      local given = arm[2](seed)
      given.seed = seed
      local one = graphmer.fit(cfg, graph, given)
      for part, hits in pairs(one.val) do
        all[part] = all[part] or { n = 0, correct = 0 }
        all[part].n, all[part].correct = all[part].n + hits.n, all[part].correct + hits.correct
      end
      if i == 1 then rules[#rules + 1] = report.baselines(graph, one.data.val) end
      local val = one.val
      return { mlm = percent(val.mlm), mnm = percent(val.mnm), tails = percent(val.tails),
        mlm_loss = val.mlm.loss / val.mlm.n, mnm_loss = val.mnm.loss / val.mnm.n, seconds = one.fit.seconds }
    end }
  end
  local result = arms.run { seeds = cfg.compare.seeds, arms = made, baseline = baseline }
  result.told, result.rules = told, report.sum(rules)
  return result
end

---Prints accuracies of all seeds together beside the baselines, means over seeds, and paired differences.
---@param result table of graphmer_arms.run
---@param graph table
function graphmer_arms.print(result, graph)
  print(('\nAll %d seeds together; the intervals are those of independent tokens and say nothing of seeds:'):format(
    #result.seeds))
  report.print(result.told, result.rules, graph.tokenizer.vocab_size)
  print '\nMeans over seeds, % of the masked tokens of val:'
  arms.print(result, { { 'tails', 'tails %' }, { 'mnm', 'facts %' }, { 'mlm', 'code %' },
    { 'mnm_loss', 'loss of facts' }, { 'mlm_loss', 'loss of code' }, { 'seconds', 's' } })
  arms.print_differences(result, 'mnm', 'facts %')
  arms.print_differences(result, 'mnm_loss', 'loss of facts')
  arms.print_differences(result, 'mlm', 'code %')
  print('\n' .. arms.finding(result, 'tails', '% of masked tails that are told'))
  print(arms.finding(result, 'mnm', '% of masked facts that are told'))
end

return graphmer_arms
