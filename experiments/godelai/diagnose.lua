-- diagnose: how long will it take? Steps after the warm-up, an interval for the whole training, and what a projection
-- from the first step would have said.
local data, experiment, models, train = require 'data', require 'experiment', require 'models', require 'train'
local duration = require 'base.duration'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 64, seq = 100, stride = 100, split = 0.9, drop_last = true },
  model = { embed = 128, hidden = 256, layers = 2 },
  optim = { name = 'adam', lr = 2e-3 },
  train = { epochs = 30, max_steps = 40, seed = 42 },
  tscore = { every = 1 },
  eval = { off = true },
}

local text, m = data.text(cfg.data), cfg.model
local model = models.char_rnn { vocab = text.vocab_size, embed = m.embed, hidden = m.hidden, layers = m.layers }
local first
local watch = { name = 'first', every = 1, on_step = function(_, record) first = first or record.step_ms / 1e3 end }
local fit = train.fit { model = model, data = text, optim = cfg.optim, tscore = cfg.tscore, options = cfg.train,
  eval = cfg.eval, callbacks = { watch } }

local updates = cfg.train.epochs * text.train:count()
if not fit.step_median_s then return print 'too few updates to tell: the first of a process are not counted' end
local function after(seconds) return duration.short(seconds * updates) end
print(('a step takes %.0f ms (10th to 90th percentile %.0f to %.0f), T-Score of every batch included'):format(
  1e3 * fit.step_median_s, 1e3 * fit.step_p10_s, 1e3 * fit.step_p90_s))
print(('%d epochs of %d updates: %s (%s to %s), evals apart'):format(cfg.train.epochs, text.train:count(),
  after(fit.step_median_s), after(fit.step_p10_s), after(fit.step_p90_s)))
print(('Found: the first step took %.0f ms; projected from it, %s, %.1f times the median.'):format(1e3 * first,
  after(first), first / fit.step_median_s))
