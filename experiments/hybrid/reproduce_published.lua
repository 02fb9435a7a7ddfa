-- reproduce_published: GPT-2 small with the published initial values on random tokens, then with those of GPT-2: what
-- was taken for convergence, and what guessing costs.
local columns, experiment = require 'base.columns', require 'experiment'
local models, train = require 'models', require 'train'
local synthetic, torch = require 'research.synthetic', require 'torch'

local cfg = experiment.config {
  tokens = { vocab = 50257, batch = 4, seq = 64, batches = 51 },
  model = { size = 'small', dropout = 0.1 },
  optim = { name = 'adam', lr = 6e-4 },
  train = { epochs = 1, seed = 1 },
  eval = { off = true },
  guards = { init_loss = 'warn', no_learning = 'off' },
}

local PUBLISHED = { [0] = 450.649, [10] = 92.710, [20] = 76.030, [30] = 73.516, [40] = 66.595, [50] = 60.830 }

local t, all = cfg.tokens, {}
for i, init in ipairs { 'n01', 'gpt2' } do
  local losses = {}
  torch.manual_seed(cfg.train.seed)
  local tokens = synthetic.random { vocab = t.vocab, batch = t.batch, seq = t.seq, batches = t.batches,
    seed = cfg.train.seed }
  train.fit { model = models.gpt2 { size = cfg.model.size, vocab = t.vocab, init = init, dropout = cfg.model.dropout },
    data = tokens, optim = cfg.optim, options = cfg.train, eval = cfg.eval, callbacks = {
      { name = 'log', every = 1, on_step = function(_, record) losses[record.step - 1] = record.loss end } } }
  all[i] = losses
end
local function number(value) return value and ('%.3f'):format(value) or 'NA' end
local rows = { { 'step', 'N(0, 1), tied', 'published [measured]', 'N(0, 0.02)' } }
for step = 0, 50, 10 do
  rows[#rows + 1] = { ('%d'):format(step), number(all[1][step]), number(PUBLISHED[step]), number(all[2][step]) }
end
print(table.concat(columns.lines(rows), '\n'))
print(('\nThe targets are random: guessing costs %.3f nats, and no model does better. Bands: 400 to 500 at first, 70 '
  .. 'to 115 after 10, 50 to 75 after 50.'):format(math.log(t.vocab)))
