-- The beginnings of scripts that train, for tests that run them in processes of their own.
local trainings = {}

local CHARACTERS = [[
local experiment, data, models, train = require 'experiment', require 'data', require 'models', require 'train'
local torch, nn = require 'torch', require 'nn'
local cfg = experiment.config {
  data = { file = %q, batch = 4, seq = 8, stride = 8, %s }, model = { embed = 8, hidden = 16 },
  optim = { lr = 1e-2 }, train = { seed = 1, %s }, %s
}
local text = data.text(cfg.data)
local net = models.char_rnn {
  vocab = text.vocab_size, embed = cfg.model.embed, hidden = cfg.model.hidden, layers = 1 }
local function fit(more)
  local parts = { model = net, data = text, optim = cfg.optim, tscore = cfg.tscore, options = cfg.train }
  for key, value in pairs(more or {}) do parts[key] = value end
  return train.fit(parts)
end
]]

---A script that makes a small character model `net` for a `text`, and `fit(more)`, which trains it with these further
---parts: batches of 4 rows of 8 characters, learning rate 0.01, seed 1. `config` is what else stands in the sections
---`data` and `train`, and `more` sections, as source: { train = 'epochs = 2', more = 'tscore = { every = 1 }' }.
---@param file string the text's path
---@param config { data: string?, train: string?, more: string? }
---@return string source
function trainings.characters(file, config)
  return CHARACTERS:format(file, config.data or '', config.train or '', config.more or '')
end

return trainings
