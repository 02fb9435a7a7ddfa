-- precision: does a char GRU trained in bf16 or fp32_split end where fp32 ends? Emulated where the CPU has no bf16.
local arms, experiment, data = require 'arms', require 'experiment', require 'data'
local models, train = require 'models', require 'train'
local diagnostics = require('lanthorn').diagnostics

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', chars = 100000, batch = 64, seq = 100, split = 0.9, drop_last = true },
  model = { embed = 128, hidden = 256, layers = 2 },
  optim = { name = 'adam', lr = 2e-3 },
  train = { epochs = 10, device = 'cpu' },
  compare = { precisions = { 'fp32', 'bf16', 'fp32_split' }, seeds = { 1, 2, 3 } },
}

local text = data.text(cfg.data)
local references = {} -- seed -> val loss of each epoch in fp32

local function arm(precision)
  return { precision, function(seed)
    local m = cfg.model
    local model = models.char_rnn { vocab = text.vocab_size, embed = m.embed, hidden = m.hidden, layers = m.layers }
    local options = { epochs = cfg.train.epochs, device = cfg.train.device, seed = seed, precision = precision,
      emulate = diagnostics.missing_precision(precision) ~= nil }
    local fit = train.fit { model = model, data = text, optim = cfg.optim, options = options }
    local curve, distance = {}, 0
    for i, epoch in ipairs(fit.epochs) do curve[i] = epoch.val_loss end
    if precision == 'fp32' then references[seed] = curve end
    for i, loss in ipairs(references[seed] or {}) do distance = math.max(distance, math.abs(curve[i] - loss)) end
    return { val_loss = curve[#curve], distance = references[seed] and distance }
  end }
end

local cells = {}
for i, precision in ipairs(cfg.compare.precisions) do cells[i] = arm(precision) end
local result = arms.run { seeds = cfg.compare.seeds, arms = cells }
arms.print(result, { { 'val_loss', 'val loss' },
  { 'distance', 'largest distance to fp32 of the same seed after any epoch' } })
print('\n' .. arms.finding(result, 'val_loss', 'val loss'))
