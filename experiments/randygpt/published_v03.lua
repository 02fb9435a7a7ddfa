-- published_v03: the reported run of RandyGPT v0.3, which trains the last of 64 positions and no attention: its log
-- lines, and what it has learnt over the whole split.
local data, experiment = require 'data', require 'experiment'
local randygpt = require 'research.randygpt'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 32, seq = 64, layout = 'random', batches = 100, bos_eos = true },
  model = { version = 'v0.3', init = 'v03', grad_mode = 'published_v03' },
  profile = 'v03',
  train = { epochs = 10, seed = 1 },
  eval = { val_cap = 2 },
  guards = { init_loss = 'warn' }, -- the published initial values are worse than guessing
}

local PUBLISHED = { [0] = 6.02, 3.18, 3.29, 2.85, 3.26, 2.74, 3.06, 2.33, 2.63, 2.32, 3.15 }

local text = data.text(cfg.data)
local logged, late, last = {}, {}, nil
local log = { name = 'log', every = 1, on_step = function(_, record)
  local done = record.step - 1
  last = record.loss
  if done % 100 == 0 then logged[done / 100] = record.loss end
  if done >= 500 then late[#late + 1] = record.loss end
end }
local numbers = randygpt.fit(cfg, text, { seed = cfg.train.seed, callbacks = { log } })
logged[#logged + 1] = last

local rows = { { 'after', 'loss of one batch', 'published [measured, noise .4]' } }
for i = 0, #PUBLISHED do
  rows[#rows + 1] = { ('%d'):format(100 * i), logged[i] and ('%.2f'):format(logged[i]) or 'NA',
    ('%.2f'):format(PUBLISHED[i]) }
end
randygpt.print(rows)
local sum = 0
for _, loss in ipairs(late) do sum = sum + loss end
print(('\nMean of the losses of updates 500 to 999: %s (published lines there: 2.7 +- .4).'):format(
  #late > 0 and ('%.2f'):format(sum / #late) or 'NA'))
print(('Found: val %.4f over the whole split. %s'):format(numbers.val, randygpt.count_lines(text)))
