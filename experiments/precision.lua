-- precision: does a char GRU trained in bf16 or fp32_split end where fp32 ends? Several seeds each; emulated where the CPU has no bf16.
local experiment, data, models, torch, train = require 'experiment', require 'data', require 'models', require 'torch', require 'train'
local diagnostics = require('lanthorn').diagnostics

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', chars = 100000, batch = 64, seq = 100, split = 0.9 },
  model = { embed = 128, hidden = 256, layers = 2 },
  optim = { name = 'adam', lr = 2e-3 },
  train = { epochs = 10, device = 'cpu' },
  compare = { precisions = { 'fp32', 'bf16', 'fp32_split' }, seeds = { 1, 2, 3 } },
}

local text = data.text(cfg.data)
local curves = {} -- precision -> seed -> val loss of each epoch
for _, precision in ipairs(cfg.compare.precisions) do
  curves[precision] = {}
  for _, seed in ipairs(cfg.compare.seeds) do
    torch.manual_seed(seed)
    local m = cfg.model
    local model = models.char_rnn { vocab = text.vocab_size, embed = m.embed, hidden = m.hidden, layers = m.layers }
    local fit = train.fit {
      model = model, data = text, optim = cfg.optim,
      options = { epochs = cfg.train.epochs, device = cfg.train.device, precision = precision,
        emulate = diagnostics.missing_precision(precision) ~= nil },
    }
    local curve = {}
    for i, epoch in ipairs(fit.epochs) do curve[i] = epoch.val_loss end
    table.insert(curves[precision], curve)
  end
end

local function mean_and_sd(values)
  local sum, squares = 0, 0
  for _, v in ipairs(values) do sum = sum + v end
  for _, v in ipairs(values) do squares = squares + (v - sum / #values) ^ 2 end
  return sum / #values, #values > 1 and math.sqrt(squares / (#values - 1)) or 0
end

print('precision   final val, mean   sd over seeds   largest distance to fp32 of the same seed, any epoch')
for _, precision in ipairs(cfg.compare.precisions) do
  local finals, distance = {}, 0
  for s, curve in ipairs(curves[precision]) do
    finals[s] = curve[#curve]
    for e, loss in ipairs(curve) do
      local reference = curves.fp32 and curves.fp32[s][e]
      if reference then distance = math.max(distance, math.abs(loss - reference)) end
    end
  end
  local mean, sd = mean_and_sd(finals)
  print(('%-10s  %.4f            %.4f          %.1e'):format(precision, mean, sd, distance))
end
