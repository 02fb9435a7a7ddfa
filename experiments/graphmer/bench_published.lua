-- bench_published: the published benchmark: 20 micro-steps of one row of at most 128 tokens, 4 of them an update. What
-- do they take here, and what would 10,000?
local experiment, graphmer = require 'experiment', require 'research.graphmer'
local published = require 'research.graphmer_published'

local cfg = experiment.config {
  graph = graphmer.section(graphmer.GRAPH, { mode = 'simple', by = 'head', vocab = 8000 }),
  rows = graphmer.section(graphmer.ROWS, { batch = 1, masking = 'static' }),
  model = graphmer.section(graphmer.section(graphmer.MODEL, graphmer.SIZES), { profile = 'published' }),
  objective = graphmer.section(graphmer.OBJECTIVE, { compat = 'con_clamp' }),
  optim = graphmer.section(graphmer.OPTIM),
  train = { epochs = 1, accumulate = 4, max_steps = 5, seed = 1 },
  project = 10000, -- micro-steps; 0: none
}

local graph = graphmer.graph(cfg.graph)
local losses, records = {}, {}
local made = graphmer.fit(cfg, graph, { callbacks = { published.keep(records) }, watch = function(loss, terms)
  losses[#losses + 1] = { loss:item(), terms.mlm and terms.mlm:item(), terms.mnm and terms.mnm:item() }
end })
published.tell(made, losses, records)
if cfg.project > 0 then
  local projections = published.projections('experiments/graphmer/bench_published.lua', cfg.project,
    cfg.train.accumulate)
  print ''
  published.print_projections { { 'projected here', projections[1] } }
end
