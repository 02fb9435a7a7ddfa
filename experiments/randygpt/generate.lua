-- generate: text of a model with and without what attention keeps: the same text, at what speed?
local data, experiment, models, torch = require 'data', require 'experiment', require 'models', require 'torch'
local randygpt, train = require 'research.randygpt', require 'train'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 32, seq = 64, layout = 'random', batches = 50, bos_eos = true },
  model = { version = 'v0.3', init = 'gpt2' },
  weights = experiment.optional('string'), -- such as results/train/latest/model.safetensors; else untrained ones
  train = { seed = 1 },
  length = 100,
  most = 0, -- 64: prompt and text together, as published
  prompts = { 'ROMEO:', 'To be or not to be', 'Once upon a time' },
}

local text = data.text(cfg.data)
torch.manual_seed(cfg.train.seed)
local model = models.randygpt { vocab = text.vocab_size, version = cfg.model.version, init = cfg.model.init }
if cfg.weights then model:load(cfg.weights) end

local rows, first = { { 'reads', 'tokens', 's', 'tokens a second', 'the same text' } }, nil
for _, cache in ipairs { true, false } do
  local drawn, cost = train.generate(model, text, { prompts = cfg.prompts, length = cfg.length, temperature = 0.8,
    top_p = 0.9, seed = cfg.train.seed, most = cfg.most, cache = cache })
  first = first or drawn
  local same = table.concat(drawn, '\n') == table.concat(first, '\n')
  rows[#rows + 1] = { cache and 'the next position' or 'all before', ('%d'):format(cost.tokens),
    ('%.3f'):format(cost.seconds), ('%.0f'):format(cost.tokens / cost.seconds), same and 'yes' or 'NO' }
end
for i, drawn in ipairs(first) do print(('%s%s\n'):format(cfg.prompts[i], drawn)) end
randygpt.print(rows)
