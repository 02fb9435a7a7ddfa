-- conflict_sequence: short texts that contradict each other, one after the other: what elastic weight consolidation
-- keeps of the earlier ones, and what it costs on the last.
local data, experiment, forgetting = require 'data', require 'experiment', require 'research.forgetting'
local models = require 'models'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare', from = 0, to = 20000, name = 'comedy' },
    { corpus = 'python_code', from = 0, to = 20000, name = 'code' },
    { corpus = 'kjv', from = 600000, to = 620000, name = 'bible' },
    { corpus = 'tinyshakespeare', from = 500000, to = 520000, name = 'drama' } },
    batch = 8, seq = 64, order = 'streams', passes = 15, train = 0.9, val = experiment.number(0.1),
    allow_leak = true },
  model = { embed = 128, hidden = 128, layers = 2 },
  optim = { name = 'adam', lr = 2e-3 },
  train = { epochs = 1, seed = 42 },
  eval = { off = true },
  compare = { seeds = { 1, 2, 3 }, modes = { 'naive', 'joint', 'ewc', 'ewc_scaled', 'replay' } },
  cures = forgetting.DEFAULTS,
}

forgetting.check_modes(cfg.compare.modes)
local text, m = data.domains(cfg.domains), cfg.model
forgetting.print(forgetting.run { data = text, seeds = cfg.compare.seeds, modes = cfg.compare.modes, optim = cfg.optim,
  options = cfg.cures, train = cfg.train, eval = cfg.eval,
  build = function()
    return models.char_rnn { vocab = text.vocab_size, embed = m.embed, hidden = m.hidden, layers = m.layers }
  end })
print 'Published [measured], private texts: forgetting naive 1.8364, raw 1.8017, scaled .3163, while the loss on the '
print 'last text rose from .3145 to 1.7273 with it; final mean 1.869, 1.840, 1.515.'
