-- published_v03: the reported run of RandyGPT v0.3, which trains the last of 64 positions and no attention: its log
-- lines for each seed, and what it has learnt over the whole split.
local data, experiment = require 'data', require 'experiment'
local randygpt = require 'research.randygpt'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 32, seq = 64, layout = 'random', batches = 100, bos_eos = true },
  model = { version = 'v0.3', init = 'v03', grad_mode = 'published_v03' },
  profile = 'v03',
  train = { epochs = 10 },
  compare = { seeds = { 1, 2, 3 } },
  eval = { val_cap = 2 },
  -- The published initial values are worse than guessing, and nothing holds the gradients: the loss of a batch jumps.
  guards = { init_loss = 'warn', loss_spike = { ratio = 0 } },
}

local PUBLISHED = { [0] = 6.02, 3.18, 3.29, 2.85, 3.26, 2.74, 3.06, 2.33, 2.63, 2.32, 3.15 }

-- One run: the losses of a batch every 100 updates and at the end, the mean of those of updates 500 to 999, and val.
local function run(text, seed)
  local logged, sum, late, last = {}, 0, 0, nil
  local log = { name = 'log', every = 1, on_step = function(_, record)
    local done = record.step - 1
    last = record.loss
    if done % 100 == 0 then logged[done / 100] = record.loss end
    if done >= 500 then sum, late = sum + record.loss, late + 1 end
  end }
  local numbers = randygpt.fit(cfg, text, { seed = seed, callbacks = { log } })
  logged[#logged + 1] = last
  return { logged = logged, late = late > 0 and sum / late or nil, val = numbers.val }
end

local text, runs = data.text(cfg.data), {}
local head, rows = { 'after' }, {}
for i, seed in ipairs(cfg.compare.seeds) do
  runs[i], head[i + 1] = run(text, seed), ('seed %d'):format(seed)
end
head[#head + 1] = 'published [measured, noise .4]'
local function add(name, pick, published)
  local row = { name }
  for i, one in ipairs(runs) do
    local value = pick(one)
    row[i + 1] = value and ('%.2f'):format(value) or 'NA'
  end
  row[#row + 1] = published
  rows[#rows + 1] = row
end
rows[1] = head
for i = 0, #PUBLISHED do
  add(('%d'):format(100 * i), function(one) return one.logged[i] end, ('%.2f'):format(PUBLISHED[i]))
end
add('mean of 500 to 999', function(one) return one.late end, '2.7 +- .4')
add('val, whole split', function(one) return one.val end, '3.23 [ten windows of the training text]')
randygpt.print(rows)
print('\nA loss in the hundreds: nothing holds gradients that leave out the norms, and they ran away.')
print(randygpt.count_lines(text))
