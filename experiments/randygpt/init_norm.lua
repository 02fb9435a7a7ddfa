-- init_norm: initial values, a final norm and a tied head: which of them matters to a small GPT?
local arms, data, experiment = require 'arms', require 'data', require 'experiment'
local randygpt = require 'research.randygpt'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 32, seq = 64, layout = 'random', batches = 100, bos_eos = true },
  model = { version = 'v0.3' },
  profile = 'small_fast',
  train = { epochs = 5, seed = 1 },
  eval = { val_cap = 2 },
  compare = { seeds = { 1, 2, 3 } },
}

local text, list = data.text(cfg.data), {}
for _, init in ipairs { 'gpt2', 'v03' } do
  for _, final_norm in ipairs { false, true } do
    for _, tied in ipairs { false, true } do
      list[#list + 1] = { init .. (final_norm and ', final norm' or '') .. (tied and ', tied' or ''), function(seed)
        return (randygpt.fit(cfg, text, { seed = seed, init = init, model = { final_norm = final_norm, tied = tied },
          guards = { init_loss = 'warn' } }))
      end }
    end
  end
end
local result = arms.run { seeds = cfg.compare.seeds, arms = list }
arms.print(result, { { 'val', 'val, whole split' } })
print('\n' .. arms.finding(result, 'val', 'val over the whole split'))
print(randygpt.count_lines(text))
