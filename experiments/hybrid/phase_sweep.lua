-- phase_sweep: length of predicted blocks, decay and threshold: is there a setting that reaches the target sooner?
local columns, experiment = require 'base.columns', require 'experiment'
local findings, hybrid_arms = require 'compare.findings', require 'research.hybrid_arms'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 4, seq = 64, layout = 'random', batches = 100 },
  tokens = { kind = 'text', vocab = 64, batch = 4, seq = 64, batches = 100 },
  model = { max_len = 64, d_model = 128, heads = 4, layers = 4, dropout = 0.1 },
  optim = { name = 'adamw', lr = 3e-4, weight_decay = 0.1, clip_norm = 1, schedule = 'cosine', warmup = 100,
    min_factor = 0.1 },
  train = { epochs = 10, seed = 1 },
  eval = { val_cap = 50 },
  hybrid = { arm = 'extrapolate', warmup_steps = 100, full_steps = 20 },
  compare = { seeds = { 1 }, arms = {}, control = 'extrapolate' },
  grid = { max_predict = { 5, 15, 40 }, gamma = { 0.8, 0.9, experiment.number(1) }, threshold = { 0.15, 0.3, 0.45 } },
}

local options = require 'options'
local function run(hybrid, arm)
  local own = options.with(cfg, { hybrid = options.with(cfg.hybrid, hybrid),
    compare = options.with(cfg.compare, { arms = { 'baseline', arm } }) })
  return hybrid_arms.run(own)
end

local function cell_of(result, i) return result.arms[i].cells[1] end
local function number(value) return value and findings.number(value) or 'NA' end

local rows = { { 'max_predict', 'gamma', 'threshold', 'predicted', 'val at the end', 's to the target', 'training s' } }
local first
for _, max_predict in ipairs(cfg.grid.max_predict) do
  for _, gamma in ipairs(cfg.grid.gamma) do
    for _, threshold in ipairs(cfg.grid.threshold) do
      local result = run({ max_predict = max_predict, gamma = gamma, threshold = threshold }, cfg.hybrid.arm)
      first = first or cell_of(result, 1)
      local cell = cell_of(result, 2)
      rows[#rows + 1] = { tostring(max_predict), tostring(gamma), tostring(threshold), number(cell.predicted),
        number(cell.val), number(cell.to_target), number(cell.seconds) }
    end
  end
end
rows[#rows + 1] = { 'baseline', '', '', '0', number(first.val), number(first.to_target), number(first.seconds) }
print(table.concat(columns.lines(rows), '\n'))
print '\nOne seed: no claim. A setting that looks better here is tried by arms.lua over several.'
