-- ab_shakespeare: standard training against the published sleep on tiny Shakespeare, with the same weights and data.
local data, experiment, models = require 'data', require 'experiment', require 'models'
local sleep_arms = require 'research.sleep_arms'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 64, seq = 100, stride = 100, split = 0.9, drop_last = true },
  model = { embed = 128, hidden = 256, layers = 2 },
  optim = { name = 'adam', lr = 2e-3 },
  train = { epochs = 10, seed = 42 },
  tscore = { every = 1 },
  sleep = { below = 0.3, start_after = experiment.number(1), cooldown = 50, max_share = 0.05 },
  compare = { seeds = { 42, 43, 44 }, arms = { 'standard', 'sleep' } },
}

local text, m = data.text(cfg.data), cfg.model
local result = sleep_arms.run { data = text, seeds = cfg.compare.seeds, arms = cfg.compare.arms, sleep = cfg.sleep,
  optim = cfg.optim, train = cfg.train, tscore = cfg.tscore,
  build = function()
    return models.char_rnn { vocab = text.vocab_size, embed = m.embed, hidden = m.hidden, layers = m.layers }
  end }
sleep_arms.print(result, 'val_loss')
print('Published [measured], seed 42: both arms end at val 1.5614 with 0 sleeps; two identical arms were called a '
  .. 'success.')
