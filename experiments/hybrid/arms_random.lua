-- arms_random: the negative control: targets that have nothing to do with the inputs. Nothing may be claimed here.
local experiment = require 'experiment'
local hybrid_arms = require 'research.hybrid_arms'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 4, seq = 64, layout = 'random', batches = 100 },
  tokens = { kind = 'random', vocab = 64, batch = 4, seq = 64, batches = 100 },
  model = { max_len = 64, d_model = 128, heads = 4, layers = 4, dropout = 0.1 },
  optim = { name = 'adamw', lr = 3e-4, weight_decay = 0.1, clip_norm = 1, schedule = 'cosine', warmup = 100,
    min_factor = 0.1 },
  train = { epochs = 10, seed = 1 },
  eval = { val_cap = 50 },
  guards = { no_learning = 'off' }, -- there is nothing to learn
  hybrid = { warmup_steps = 100, full_steps = 20, max_predict = 15, threshold = 0.3 },
  compare = { seeds = { 1, 2, 3 }, arms = hybrid_arms.NAMES, control = 'extrapolate' },
}

local result = hybrid_arms.run(cfg)
hybrid_arms.print(result, false)
local below = 0
for _, arm in ipairs(result.arms) do
  for _, cell in ipairs(arm.cells) do
    if cell.val and cell.val < math.log(cfg.tokens.vocab) - 0.005 then below = below + 1 end
  end
end
print(('Trainings that ended below ln V = %.4f: %d. Any would be an error of the measurement.'):format(
  math.log(cfg.tokens.vocab), below))
if below > 0 then error('a loss below that of guessing on random targets', 0) end
