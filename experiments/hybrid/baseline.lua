-- baseline: plain training of GPT-2 small as published: 4 x 64 tokens, Adam 6e-4, with the loss every ten updates.
local data, experiment, models, train = require 'data', require 'experiment', require 'models', require 'train'
local columns, synthetic = require 'base.columns', require 'research.synthetic'

local cfg = experiment.config {
  tokens = { kind = 'random', vocab = 50257, batch = 4, seq = 64, batches = 51 },
  data = { corpus = 'tinyshakespeare', batch = 4, seq = 64, layout = 'random', batches = 51 },
  model = { size = 'small', init = 'n01', dropout = 0.1 },
  optim = { name = 'adam', lr = 6e-4 },
  train = { epochs = 1, seed = 1 },
  eval = { off = true },
  guards = { init_loss = 'error' }, -- `warn` lets the published initial values pass
}

local PUBLISHED = { [0] = '450.649', [10] = '92.710', [20] = '76.030', [30] = '73.516', [40] = '66.595',
  [50] = '60.830' }

local t = cfg.tokens
local text = t.kind == 'text' and data.text(cfg.data)
  or synthetic.random { vocab = t.vocab, batch = t.batch, seq = t.seq, batches = t.batches, seed = cfg.train.seed }
local model = models.gpt2 { size = cfg.model.size, vocab = text.vocab_size, init = cfg.model.init,
  dropout = cfg.model.dropout }
local losses, times = {}, {}
train.fit { model = model, data = text, optim = cfg.optim, options = cfg.train, eval = cfg.eval, callbacks = {
  { name = 'log', every = 1, on_step = function(_, record)
    losses[record.step - 1], times[record.step - 1] = record.loss, record.step_ms
  end } } }
local rows = { { 'step', 'loss', 'published [measured]', 'ms' } }
for step = 0, 50, 10 do
  rows[#rows + 1] = { ('%d'):format(step), losses[step] and ('%.3f'):format(losses[step]) or 'NA', PUBLISHED[step],
    times[step] and ('%.0f'):format(times[step]) or 'NA' }
end
print(table.concat(columns.lines(rows), '\n'))
print(('\nGuessing is %.3f nats. The published losses came from embeddings N(0, 1) and a tied head, and the times, '
  .. '35.6 s an update, from a CPU.'):format(math.log(text.vocab_size)))
