-- ablate_loss: what do the constraint terms and masks that are drawn anew each epoch do for masked tokens?
local experiment = require 'experiment'
local graphmer = require 'research.graphmer'
local graphmer_arms = require 'research.graphmer_arms'

local cfg = experiment.config {
  graph = graphmer.section(graphmer.GRAPH),
  rows = graphmer.section(graphmer.ROWS),
  model = graphmer.section(graphmer.MODEL, graphmer.SIZES),
  objective = graphmer.section(graphmer.OBJECTIVE),
  optim = graphmer.section(graphmer.OPTIM),
  train = { epochs = 100, max_steps = 300, seed = 1 },
  eval = { val_cap = 20 },
  compare = { seeds = { 1, 2, 3 } },
}
experiment.varies({ 'objective.constraints', 'rows.masking' }, 'they are what the arms differ in')

local graph, list = graphmer.graph(cfg.graph), {}
for _, masking in ipairs { 'dynamic', 'static' } do
  for _, constraints in ipairs { true, false } do
    list[#list + 1] = { ('%s_%s'):format(masking, constraints and 'constraints' or 'plain'), function()
      return { rows = { masking = masking }, objective = { constraints = constraints } }
    end }
  end
end
graphmer_arms.print(graphmer_arms.run(cfg, graph, list, 'dynamic_constraints'), graph)
local batches = math.ceil(#graph.parts.train / cfg.rows.batch)
local updates = cfg.train.max_steps * cfg.train.accumulate
print(('\n%d batches are %.2f epochs; before the second one masks of both kinds are the same.'):format(updates,
  updates / batches))
