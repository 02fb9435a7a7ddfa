-- gpt2_small: GPT-2 small, 4 rows of 64 tokens: our initial values or the published ones (model.init=n01), a text or
-- random tokens (tokens.kind=random). The device is checked first; guard G05 knows the first loss.
local console, data, experiment = require 'console', require 'data', require 'experiment'
local diagnostics, models = require('lanthorn').diagnostics, require 'models'
local synthetic, train = require 'research.synthetic', require 'train'

local cfg = experiment.config {
  tokens = { kind = 'random', vocab = 50257, batch = 4, seq = 64, batches = 50 }, -- random, or text (see data)
  data = { corpus = 'tinyshakespeare', batch = 4, seq = 64, layout = 'random', batches = 50 },
  model = { size = 'small', init = 'gpt2', dropout = 0.1, weights = experiment.optional('string') },
  optim = { name = 'adam', lr = 6e-4 },
  train = { epochs = 1, seed = 1 },
  eval = { off = true },
}

local t = cfg.tokens
local text = t.kind == 'text' and data.text(cfg.data)
  or synthetic.random { vocab = t.vocab, batch = t.batch, seq = t.seq, batches = t.batches, seed = cfg.train.seed }
local model = models.gpt2 { size = cfg.model.size, vocab = text.vocab_size, init = cfg.model.init,
  dropout = cfg.model.dropout, weights = cfg.model.weights }
local rate, work = diagnostics.training_gemm('cpu', 0), 6 * model:parameter_count() * t.batch * t.seq
console.note(('%-10s%.0f GFLOP/s in products: an update of %d tokens takes %.2f s at least'):format('machine',
  rate / 1e9, t.batch * t.seq, work / rate))
local fit = train.fit { model = model, data = text, optim = cfg.optim, options = cfg.train, eval = cfg.eval,
  callbacks = cfg.callbacks }
print(('%d updates, %.2f s each; the first one needs %.1f GFLOP: %.0f %% of the rate of products'):format(fit.steps,
  fit.step_median_s or 0 / 0, work / 1e9, fit.step_median_s and 100 * work / fit.step_median_s / rate or 0 / 0))
