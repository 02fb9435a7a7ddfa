-- time_to_loss: seconds of training until val reaches a loss, by mode; `train.max_time` ends one that never does.
local arms, data, experiment = require 'arms', require 'data', require 'experiment'
local randygpt = require 'research.randygpt'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 32, seq = 64, layout = 'random', batches = 50, bos_eos = true },
  model = { version = 'v0.3', init = 'gpt2' },
  profile = 'small_fast',
  train = { epochs = 40, seed = 1 },
  eval = { val_cap = 10 },
  targets = { 2.5, 2.2, 2.0 },
  compare = { seeds = { 1, 2, 3 }, modes = { 'full', 'no_attention', 'published_v03' } },
}

local text, list, metrics = data.text(cfg.data), {}, {}
local function key(target) return ('to_%g'):format(target) end
for i, target in ipairs(cfg.targets) do metrics[i] = { key(target), ('s to val %g'):format(target) } end

-- Ends a training once the last target is reached.
local function watch(reached)
  local spent = 0
  return { name = 'targets', on_epoch = function(_, record)
    spent = spent + record.train_s
    for _, target in ipairs(cfg.targets) do
      if record.val_loss and record.val_loss <= target then reached[key(target)] = reached[key(target)] or spent end
    end
    if reached[key(cfg.targets[#cfg.targets])] then return 'stop', 'all targets are reached' end
    return nil
  end }
end

for i, mode in ipairs(cfg.compare.modes) do
  list[i] = { mode, function(seed)
    local reached = {}
    local numbers = randygpt.fit(cfg, text, { seed = seed, grad_mode = mode, callbacks = { watch(reached) } })
    reached.updates, reached.val = numbers.updates, numbers.val
    return reached
  end }
end
local result = arms.run { seeds = cfg.compare.seeds, arms = list }
metrics[#metrics + 1], metrics[#metrics + 2] = { 'updates', 'updates' }, { 'val', 'val, whole split' }
arms.print(result, metrics)
print '\nA time is only there where the target was reached. Seconds are those of training, without evals.'
print(randygpt.count_lines(text))
