-- gradient_collapse: six GRU layers of 512 at learning rate 0.01: do gradients vanish, and does T-Score say so?
local arms, data, experiment, models = require 'arms', require 'data', require 'experiment', require 'models'
local findings, published, statistics = require 'compare.findings', require 'research.published', require 'statistics'
local options, torch, train = require 'options', require 'torch', require 'train'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', chars = 5000, batch = 16, seq = 100, stride = 100, split = 0.9,
    drop_last = true },
  model = { embed = 128, hidden = 512, layers = 6 },
  optim = { name = 'adam', lr = 0.01 },
  train = { epochs = 10, seed = 42 },
  eval = { off = true },
  tscore = { every = 1, groups = 'parameter' },
  compare = { seeds = { 42, 43, 44 } },
}

local text, m = data.text(cfg.data), cfg.model
local LAYERS = { 'embed' }
for layer = 1, m.layers do LAYERS[layer + 1] = 'GRU layer ' .. layer end
LAYERS[#LAYERS + 1] = 'head'

-- The gradient norm of each layer, from the sums of its parameters.
local function norms_of(score)
  local squares, norms = {}, {}
  for _, group in ipairs(score and score.groups or {}) do
    local layer = group.name:match '_l(%d+)$'
    layer = layer and 'GRU layer ' .. layer + 1 or group.name:match '^[^.]+'
    squares[layer] = (squares[layer] or 0) + group.s
  end
  for layer, square in pairs(squares) do norms[layer] = math.sqrt(square) end
  return norms
end

local first
local result = arms.run { seeds = cfg.compare.seeds, arms = { { 'six layers', function(seed)
  local numbers = {}
  local watch = { name = 'norms', every = 1, on_step = function(_, record)
    local norms = norms_of(record.tscore)
    for _, layer in ipairs(LAYERS) do
      local begin, least = 'begin ' .. layer, 'least ' .. layer
      numbers[begin] = numbers[begin] or norms[layer]
      numbers[least] = norms[layer] and math.min(numbers[least] or math.huge, norms[layer]) or numbers[least]
    end
  end }
  torch.manual_seed(seed)
  local model = models.char_rnn { vocab = text.vocab_size, embed = m.embed, hidden = m.hidden, layers = m.layers }
  local fit = train.fit { model = model, data = text, optim = cfg.optim, eval = cfg.eval, tscore = cfg.tscore,
    options = options.with(cfg.train, { seed = seed }), callbacks = { watch } }
  first = first or fit
  local last = fit.epochs[#fit.epochs] or {}
  numbers.train_loss, numbers.t = last.train_loss, last.tscore and last.tscore.mean
  return numbers
end } } }

arms.print(result, { { 'train_loss', 'train loss' }, { 't', 'T, last epoch' } })
local least = math.huge -- of all layers, updates and seeds
for _, layer in ipairs(LAYERS) do
  local own = math.huge
  for _, value in ipairs(arms.values(result.arms[1], 'least ' .. layer)) do own = math.min(own, value) end
  print(('%-12s gradient norm: first update %s in the mean, least of all updates and seeds %s'):format(layer,
    findings.number(statistics.interval(arms.values(result.arms[1], 'begin ' .. layer)).mean), findings.number(own)))
  least = math.min(least, own)
end
print(('\nFound: the least gradient norm of a layer, over %d seed%s, is %.3g: %s 1e-6.'):format(#result.seeds,
  #result.seeds == 1 and '' or 's', least, least < 1e-6 and 'below' or 'none is below'))

local THEIRS = { 3.783, 5.287, 4.409, 3.999, 3.514, 3.427, 3.326, 3.291, 3.270, 3.249 }
local other = published.difference(experiment.current(), text.sha256)
if other then return print(('not the published configuration (%s): its numbers are left out'):format(other)) end
local rows = {}
for epoch, theirs in ipairs(THEIRS) do
  rows[epoch] = { what = ('loss, epoch %d, seed %d'):format(epoch, result.seeds[1]), theirs = theirs, tag = 'measured',
    ours = first.epochs[epoch] and first.epochs[epoch].train_loss, tolerance = epoch == 10 and 0.15 or nil, digits = 3 }
end
published.print(rows)
