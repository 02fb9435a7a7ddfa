-- 6_sweep: a sweep. Every combination with three seeds, each a run of its own; killed, the same command goes on.
--   runner experiments/tutorial/6_sweep.lua -n        prints the cells
--   runner sweep top                                  the best first, with intervals
local sweep = require 'sweep'

return sweep {
  script = '3_experiment.lua',
  params = { 'optim.lr=0.01,0.001', 'model.hidden=4,16', 'train.epochs=5' },
  seeds = 3,
}
