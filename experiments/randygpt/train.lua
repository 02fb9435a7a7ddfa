-- train: RandyGPT v0.3 with whole gradients: what loss does it reach in a thousand updates, beside counting?
local data, experiment, train = require 'data', require 'experiment', require 'train'
local randygpt = require 'research.randygpt'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 32, seq = 64, layout = 'random', batches = 100, bos_eos = true },
  model = { version = 'v0.3', init = 'gpt2', grad_mode = 'full' },
  profile = 'small_fast',
  train = { epochs = 10, seed = 1 },
  eval = { val_cap = 2 },
  prompts = { 'ROMEO:', 'To be or not to be', 'Once upon a time' },
}

local text = data.text(cfg.data)
local numbers, _, model = randygpt.fit(cfg, text, { seed = cfg.train.seed })
for i, drawn in ipairs(train.generate(model, text, { prompts = cfg.prompts, length = 100, temperature = 0.8,
  top_p = 0.9 })) do
  print(('\n%s%s'):format(cfg.prompts[i], drawn))
end
print(('\nFound: val %.4f over the whole split after %d updates in %.1f s. %s'):format(numbers.val, numbers.updates,
  numbers.seconds, randygpt.count_lines(text)))
