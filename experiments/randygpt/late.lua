-- late: the v0.9 model under its late schedule, with evals every 25 updates, the rate halved where they stop improving.
local data, experiment = require 'data', require 'experiment'
local randygpt = require 'research.randygpt'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 64, seq = 256, layout = 'random', batches = 25, bos_eos = true },
  model = { version = 'v0.9', init = 'gpt2', grad_mode = 'full' },
  profile = 'late',
  train = { epochs = 40, seed = 1 },
  eval = { val_cap = 1 },
  patience = { evals = 30, halvings = 3 },
}

local text = data.text(cfg.data)
local plateau = { 'plateau', patience = cfg.patience.evals, halvings = cfg.patience.halvings }
local numbers, fit = randygpt.fit(cfg, text, { seed = cfg.train.seed, callbacks = { plateau } })
print(('\nFound: val %.4f over the whole split after %d updates in %.1f s; best of the evals %s. Published [measured]: '
  .. '2.3716 at 929, 1835 ms an update on 12 cores.'):format(numbers.val, numbers.updates, numbers.seconds,
  fit.best and ('%.4f at epoch %d'):format(fit.best.val_loss, fit.best.epoch) or 'NA'))
print(randygpt.count_lines(text))
