-- Options of the library by section of a config: what may be set in `data`, `optim`, `train`, `tscore`, `eval`, `guards`,
-- `checkpoint` and `watchdog`,
-- with defaults. data.text and train.fit check against them, and experiment.config fills in what a script leaves out, so
-- that every option can be set on the command line.
local specs = {}

specs.data = {
  corpus = 'string?',                          -- a name of corpora.lua
  file = 'string?',                            -- or a file of your own
  batch = { 'int', 64 },
  seq = { 'int', 100 },
  stride = { 'int', 100 },
  split = { 'number', 0.9 },                   -- share for training
  layout = { 'string', 'rows', one_of = { 'rows', 'streams', 'overlap' } },
  chars = { 'int', 0 },                        -- first so many characters; 0: all
  shuffle = { 'boolean', false },
  drop_last = { 'boolean', false },            -- leave out rows that do not fill a last batch (train and val); else it is smaller
  allow_overlap = { 'boolean', false },        -- stride 1 makes about a hundred times the batches
  allow_leak = { 'boolean', false },           -- val text that is in train too (guard G24)
  newlines = { 'string?', nil, one_of = { 'keep', 'lf' } }, -- carriage returns: lf reads them as LF; unset: a text that has some is refused
  cache = { 'boolean', true },                 -- tokens of a long text stay in a file beside it, for the next training
  floor_nats = 'number?',                      -- the lowest loss that is possible, where it is known
  shift = 'int?',                              -- targets are the inputs so many positions later (guard G45); 1 for a text
  learnable = 'boolean?',                      -- false: nothing to learn, such as random targets; true accepts guard G06
}

-- Several texts under one vocabulary, for data.domains.
specs.domains = {
  texts = { 'list', {} },                      -- file names, or {file=|corpus=, name=, bytes=}
  words = { 'int', 0 },                        -- a vocabulary of so many words; 0: characters
  batch = { 'int', 64 },
  seq = { 'int', 64 },
  stride = 'int?',                             -- seq / 2 otherwise
  train = { 'number', 0.9 }, val = { 'number', 0.05 }, -- shares by position; the rest is the test split
  order = { 'string', 'random', one_of = { 'random', 'epoch' } }, -- windows drawn at random, or each once an epoch
  batches = { 'int', 0 },                      -- of each phase an epoch; 0: as many as hold each window once, the most for order=epoch
  phases = 'list?',                            -- texts by number in the order they are trained on; each once otherwise
  drop_last = { 'boolean', false },            -- of order = 'epoch': leave out windows that do not fill a last batch
  interleaved = { 'boolean', false },          -- texts take turns batch by batch
  allow_leak = { 'boolean', false },           -- accept a val split that stands in train too (G24)
  newlines = { 'string?', nil, one_of = { 'keep', 'lf' } }, -- as in data
  cache = { 'boolean', true },                 -- tokens of long texts stay in files beside them
  seed = 'int?',                               -- of the windows, the same for every training; train.seed otherwise
}

specs.optim = {
  name = { 'string', 'adam' },
  lr = 'number?', beta1 = 'number?', beta2 = 'number?', eps = 'number?', weight_decay = 'number?', momentum = 'number?',
  dampening = 'number?', nesterov = 'boolean?', alpha = 'number?', centered = 'boolean?',
  clip_norm = { 'number', 0 },                 -- 0: off
  clip_value = { 'number', 0 },
  schedule = { 'string', 'constant', one_of = { 'constant', 'step', 'cosine', 'linear' } },
  -- Where cosine and linear end: at the training's last update, or at this one. Of a resumed run that becomes longer or
  -- shorter: keep stays on its curve and then at its end value, stretch goes over to the new plan's.
  horizon = 'number|string?',
  warmup = { 'int', 0 },                       -- updates
  decay_every = { 'int', 0 },                  -- updates between two steps of the step schedule
  gamma = { 'number', 0.1 },
  min_factor = { 'number', 0 },
  groups = 'list?',                            -- { {match = 'bias', weight_decay = 0}, ... }
}

specs.train = {
  epochs = { 'int', 1 },
  seed = { 'int', 42 },
  device = { 'string', 'auto' },
  -- What GRU and LSTM multiply in while training and in eval: fp32, bf16, or fp32_split, each operand as two bf16 numbers.
  precision = { 'string', 'fp32', one_of = { 'fp32', 'fp32_split', 'bf16' } },
  emulate = { 'boolean', false },              -- the rounding of a lower precision on any CPU, without its speed
  max_steps = { 'int', 0 },                    -- 0: all
  max_time = 'number|string?',                 -- seconds, or 90s, 5m, 2h, HH:MM:SS from the start of the command; ends with exit 7
  accept_eta = { 'boolean', false },           -- train up to max_time even if the plan needs longer (guard G13)
  accumulate = { 'int', 1 },                   -- batches per update: k of data.batch rows are one batch of k * data.batch
  resume = { 'string', 'never', one_of = { 'never', 'auto' } }, -- auto: go on with an unfinished run of this config
  -- When the loss is not finite or runs away (guard G23): stop, or go on from the newest checkpoint with every base learning rate
  -- times rollback_factor, at most rollback_tries times in the life of the run.
  on_divergence = { 'string', 'stop', one_of = { 'stop', 'rollback' } },
  rollback_factor = { 'number', 0.5 },
  rollback_tries = { 'int', 3 },
  allow_dead = 'list?',                        -- Lua patterns of parameters that may get no gradient and stay (guard G30)
  allow_vocabulary = 'boolean?',               -- start from weights that were trained with another vocabulary
  expect_loss = 'number?',                     -- what guard G05 compares the first loss with; ln V otherwise
}

specs.tscore = {
  every = { 'int', 0 },                        -- updates; 0: never
  mode = { 'string', 'exact', one_of = { 'exact', 'loop' } },
  compat = { 'string', 'none', one_of = { 'none', 'v1.1' } }, -- v1.1: the published formula
  samples = { 'boolean', false },              -- the squared gradient norm of every sample in metrics.jsonl
  groups = { 'string', 'none', one_of = { 'none', 'module', 'parameter' } }, -- T of each child of the model, or parameter
}

-- Selective training of a tree of nodes (models.k1_tree); given to train.fit as `select`.
specs.select = {
  rule = { 'string', 'path', one_of = { 'path', 'lowest', 'random_path', 'round_robin', 'cooldown', 'ucb', 'topk', 'weight_topk', 'all',
    'none', 'published' } },
  scales = { 'list', { 1, 0.15, 0.05 } },      -- shares of the update on a path, from the leaf up; the last repeats
  k = { 'int', 5 },                            -- topk: nodes
  percent = { 'number', 10 },                  -- weight_topk: the largest entries of the gradient
  cooldown = { 'int', 10 },                    -- cooldown: updates that a node is left alone, ...
  explore = { 'number', 0.1 },                 -- ... and the probability of a random child
  tau = { 'number', 3 }, tau_end = { 'number', 0.5 }, tau_steps = { 'int', 50000 }, -- ucb: temperature, linear in time
  norm = { 'string', 'raw', one_of = { 'raw', 'level', 'relative' } }, -- level: times the nodes of the level; relative: to the weights
  apply = { 'string', 'delta', one_of = { 'delta', 'gradient' } }, -- mask the update, or the gradient before the optimiser
  moments = { 'string', 'global', one_of = { 'global', 'lazy' } }, -- lazy: those of nodes that are not selected wait
  shared = { 'number', 1 },                    -- share of parameters outside of the tree
  seed = 'int?',                               -- of random rules; train.seed otherwise
  log_every = { 'int', 100, min = 1 },         -- updates between two `selection` events in metrics.jsonl
}

specs.eval = {
  off = { 'boolean', false },
  val_cap = { 'int', 0 },                      -- batches; 0: the whole split
  metrics = 'list?',                           -- beside the loss: accuracy, top5, perplexity, binary_accuracy, mae, mse, rmse, r2
}

specs.guards = require('guards.registry').spec()          -- guards.<name>=error|warn|off, and limits

-- The process that ends a run that hangs (guard G11). Off under --fast-dev-run and at the prompt.
specs.watchdog = {
  off = { 'boolean', false },
  min_s = { 'number', 120, min = 0 },          -- shortest wait for progress, however fast the steps are
  first_s = { 'number', 900, min = 0 },        -- for loading, building, the first step and the first save
  stall_s = { 'number?', nil, min = 0 },       -- one limit for everything, in place of what was learnt from the steps
  on_stall = { 'string', 'stop', one_of = { 'stop', 'resume' } }, -- resume: go on from the newest checkpoint
  retries = { 'int', 1, min = 0 },             -- resumes in all
  grace_s = { 'number', 30, min = 0 },         -- from asking the process to end to ending it
}

specs.checkpoint = {
  off = { 'boolean', false },
  every = { 'table', { steps = 0, seconds = 600, epochs = 1 } }, -- 0: not by that; saves at epochs' ends cost 1 % of the time at most
  keep_last = { 'int', 2 },                    -- beside these the best one stays
  keep_every = { 'int', 0 },                   -- and every one whose step this divides; 0: none
}

-- Sections that every config with a `train` section has, and those filled in only where a script has them.
specs.training = { 'eval', 'guards', 'checkpoint', 'watchdog' }
specs.when_present = { 'data', 'domains', 'optim', 'train', 'tscore', 'select' }

return specs
