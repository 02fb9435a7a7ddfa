-- step_profile: where the time of each kind of step goes, and whether memory grows from block to block.
local columns, data, experiment = require 'base.columns', require 'data', require 'experiment'
local models, options, statistics, torch = require 'models', require 'options', require 'statistics', require 'torch'
local train = require 'train'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 4, seq = 64, layout = 'random', batches = 100 },
  model = { max_len = 64, d_model = 128, heads = 4, layers = 4, dropout = 0.1 },
  optim = { name = 'adamw', lr = 3e-4, weight_decay = 0.1, clip_norm = 1 },
  train = { epochs = 1, seed = 1 },
  eval = { off = true },
  hybrid = { arm = 'extrapolate', warmup_steps = 10, full_steps = 10, max_predict = 10, threshold = 0.3, sigma = 1e6 },
}

local text = data.text(cfg.data)
torch.manual_seed(cfg.train.seed)
local model = models.gpt2(options.with(cfg.model, { vocab = text.vocab_size }))
local hybrid = options.with(cfg.hybrid, {})
hybrid[1] = 'hybrid'
local times, order, memory = {}, {}, {}
train.fit { model = model, data = text, optim = cfg.optim, options = cfg.train, eval = cfg.eval, callbacks = { hybrid,
  { name = 'profile', every = 1, over_budget = 'off', on_step = function(_, record)
    if not times[record.phase] then
      order[#order + 1], times[record.phase] = record.phase, { all = {} }
    end
    local own = times[record.phase]
    table.insert(own.all, record.step_ms)
    for phase, ms in pairs(record.phases_ms) do
      own[phase] = own[phase] or {}
      table.insert(own[phase], ms)
    end
    memory[#memory + 1] = torch.memory().tensor_mb
  end } } }
local SHOWN = { 'data', 'forward', 'backward', 'clip', 'optimizer', 'predict', 'guards' }
local rows = { { 'phase', 'steps', 'ms', unpack(SHOWN) } }
for _, phase in ipairs(order) do
  local row = { phase, ('%d'):format(#times[phase].all), ('%.3f'):format(statistics.mean(times[phase].all)) }
  for _, part in ipairs(SHOWN) do
    local values, sum = times[phase][part] or {}, 0
    for _, value in ipairs(values) do sum = sum + value end
    row[#row + 1] = ('%.3f'):format(sum / #times[phase].all)
  end
  rows[#rows + 1] = row
end
print(table.concat(columns.lines(rows), '\n'))
local half = math.max(1, math.floor(#memory / 2))
local slope = (memory[#memory] - memory[half]) / math.max(1, #memory - half)
print(('\nMeans, ms. Tensors of the process: %.1f MB in the middle, %.1f MB at the end: %.4f MB a step (published: '
  .. '1.45 GB a predicted block).'):format(memory[half], memory[#memory], slope))
