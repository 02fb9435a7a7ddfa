-- selftest: the facts of HybridTrainer that need no long training: sizes, phase traces, and that the published
-- prediction changes nothing.
local data, experiment, models = require 'data', require 'experiment', require 'models'
local published, torch, train = require 'research.published', require 'torch', require 'train'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 2, seq = 8, layout = 'random', batches = 200 },
  train = { epochs = 1, seed = 1 },
  eval = { off = true },
  guards = { no_learning = 'off' },
}

local text = data.text(cfg.data)

-- Steps of each phase, and a checksum of the weights.
local function run(steps, hybrid)
  torch.manual_seed(cfg.train.seed)
  local model = models.gpt2 { vocab = text.vocab_size, max_len = 8, d_model = 8, heads = 2, layers = 1, dropout = 0 }
  local callbacks
  if hybrid then
    hybrid[1], hybrid.arm, hybrid.fixed_confidence, hybrid.sigma = 'hybrid', 'noop', true, 1e9
    hybrid.correct_steps = 5
    callbacks = { hybrid }
  end
  local fit = train.fit { model = model, data = text, optim = { name = 'adam', lr = 1e-3 }, eval = cfg.eval,
    options = { epochs = 1, seed = cfg.train.seed, max_steps = steps }, callbacks = callbacks, run = false }
  local sum = 0
  for _, parameter in ipairs(model:parameters()) do sum = sum + parameter:double():abs():sum():item() end
  return fit.hybrid and fit.hybrid.steps, sum
end

local rows = {}
local function add(what, ours, theirs)
  rows[#rows + 1] = { what = what, ours = ours, theirs = theirs, tag = 'derived', tolerance = 0, digits = 0 }
end
for _, one in ipairs { { 'small', 124439808 }, { 'medium', 354823168 }, { 'xl', 1557611200 } } do
  local V, P, d, L = 50257, 1024, ({ small = 768, medium = 1024, xl = 1600 })[one[1]],
    ({ small = 12, medium = 24, xl = 48 })[one[1]]
  add('parameters of ' .. one[1], V * d + P * d + L * (12 * d * d + 13 * d) + 2 * d, one[2])
end
local TRACES = {
  { 50, { warmup_steps = 5, full_steps = 10, max_predict = 5, confidence = 1 }, { 5, 10, 20, 15 } },
  { 200, { warmup_steps = 5, full_steps = 10, max_predict = 5, confidence = 1 }, { 5, 40, 80, 75 } },
  { 100, { warmup_steps = 5, full_steps = 10, max_predict = 15, confidence = 1 }, { 5, 15, 55, 25 } },
  { 100, { warmup_steps = 10, full_steps = 20, confidence = 0.3, threshold = 0.85 }, { 10, 90, 0, 0 } },
}
local fast, noop = experiment.current().flags.fast_dev_run, nil
for i, trace in ipairs(fast and {} or TRACES) do
  local steps, sum = run(trace[1], trace[2])
  noop = noop or sum
  for p, phase in ipairs { 'warmup', 'full', 'predict', 'correct' } do
    add(('trace %d, %d steps: %s'):format(i, trace[1], phase), steps[phase], trace[3][p])
  end
end
local off = published.print(rows)
if fast then
  print '\nThe traces need more steps than a fast dev run has.'
  return
end
local _, plain = run(15)
local words = '\nThe weights after 50 steps of the published prediction, 15 of them real, %s those of 15 plain updates.'
print(words:format(
  noop == plain and 'are' or 'are NOT'))
if off > 0 or noop ~= plain then error('a fact does not hold', 0) end
print 'Found: all facts hold. e^450.649, written as "5.2e72" once, is 5.2e195.'
