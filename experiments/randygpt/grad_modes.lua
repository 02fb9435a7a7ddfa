-- grad_modes: what do incomplete gradients cost? All modes from the same weights and batches, val over the whole split.
local arms, data, experiment = require 'arms', require 'data', require 'experiment'
local gradient_modes, randygpt = require 'research.gradient_modes', require 'research.randygpt'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 32, seq = 64, layout = 'random', batches = 100, bos_eos = true },
  model = { version = 'v0.3', init = 'gpt2' },
  profile = 'small_fast',
  train = { epochs = 10, seed = 1 },
  eval = { val_cap = 2 },
  compare = { seeds = { 1, 2, 3 }, modes = gradient_modes.NAMES },
  guards = { loss_spike = { ratio = 0 } }, -- gradients that leave out the norms run away: that is a result
}

local text, list = data.text(cfg.data), {}
for i, mode in ipairs(cfg.compare.modes) do
  list[i] = { mode, function(seed) return (randygpt.fit(cfg, text, { seed = seed, grad_mode = mode })) end }
end
local result = arms.run { seeds = cfg.compare.seeds, arms = list }
arms.print(result, { { 'val', 'val, whole split' }, { 'updates', 'updates' }, { 'seconds', 's' } })
print('\n' .. arms.finding(result, 'val', 'val over the whole split'))
print(randygpt.count_lines(text))
print('Published [measured]: 3.23 by published_v03, 3.10 by published_all, 3.09 by q_wo; a GPT of this size '
  .. 'elsewhere, 1.88.')
