-- train: masked code and masked facts of a knowledge graph, told by an encoder whose attention knows relations.
local experiment = require 'experiment'
local graphmer = require 'research.graphmer'
local published = require 'research.graphmer_config'
local report = require 'research.graphmer_report'

local cfg = experiment.config {
  graph = graphmer.section(graphmer.GRAPH), -- dir=FOLDER of Python files, or triples=FILE code=FILE
  rows = graphmer.section(graphmer.ROWS),
  model = graphmer.section(graphmer.MODEL, graphmer.SIZES),
  objective = graphmer.section(graphmer.OBJECTIVE),
  optim = graphmer.section(graphmer.OPTIM),
  train = { epochs = 100, max_steps = 1000, seed = 1 },
  eval = { val_cap = 20 },
  published = graphmer.section(published.SECTION), -- file=FILE.yaml: a configuration of GraphMER's own trainer
}
cfg = published.apply(cfg, experiment.is_set)

local graph = graphmer.graph(cfg.graph)
local made = graphmer.fit(cfg, graph)
print()
report.print({ { 'the model', made.val } }, report.baselines(graph, made.data.val), graph.tokenizer.vocab_size)
