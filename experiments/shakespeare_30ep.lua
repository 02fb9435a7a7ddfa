-- shakespeare_30ep: a char GRU on tiny Shakespeare for 30 epochs, T-Score on every batch. probe.batches=N also takes T
-- over the first N batches at each epoch's end, as it was published.
local experiment, data, models, train = require 'experiment', require 'data', require 'models', require 'train'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 64, seq = 100, stride = 100, split = 0.9, drop_last = true },
  model = { cell = 'gru', embed = 128, hidden = 256, layers = 2, dropout = experiment.number(0) },
  optim = { name = 'adam', lr = 2e-3 },
  train = { epochs = 30, seed = 42, device = 'auto' },
  tscore = { every = 1 },
  probe = { batches = 0 },
}

local text = data.text(cfg.data)
local m = cfg.model
local model = models.char_rnn {
  vocab = text.vocab_size, cell = m.cell, embed = m.embed, hidden = m.hidden, layers = m.layers, dropout = m.dropout,
}
local callbacks = { 'sample_text' }
if cfg.probe.batches > 0 then callbacks[2] = { 'tscore', batches = cfg.probe.batches } end
local fit = train.fit {
  model = model, data = text, optim = cfg.optim, tscore = cfg.tscore, options = cfg.train,
  callbacks = callbacks,
}
local best, t = fit.best, fit.tscore
local loss = best.val_loss and ('val %.4f'):format(best.val_loss) or ('train %.4f'):format(best.train_loss)
print(('best %s at epoch %d, T %s'):format(loss, best.epoch, t and t.mean and ('%.4f'):format(t.mean) or 'NA'))
