-- arms_markov: the arms on a Markov chain, whose lowest loss is known.
local experiment = require 'experiment'
local hybrid_arms, synthetic = require 'research.hybrid_arms', require 'research.synthetic'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 4, seq = 64, layout = 'random', batches = 100 },
  tokens = { kind = 'markov', vocab = 64, batch = 4, seq = 64, batches = 100 },
  model = { max_len = 64, d_model = 128, heads = 4, layers = 4, dropout = 0.1 },
  optim = { name = 'adamw', lr = 3e-4, weight_decay = 0.1, clip_norm = 1, schedule = 'cosine', warmup = 100,
    min_factor = 0.1 },
  train = { epochs = 10, seed = 1 },
  eval = { val_cap = 50 },
  hybrid = { warmup_steps = 100, full_steps = 20, max_predict = 15, threshold = 0.3 },
  compare = { seeds = { 1, 2, 3 }, arms = hybrid_arms.NAMES, control = 'extrapolate' },
}

hybrid_arms.print(hybrid_arms.run(cfg))
local _, floor = synthetic.chain(cfg.tokens.vocab)
print(('The entropy rate of the chain, below which no model goes, is %.4f nats.'):format(floor))
