-- shakespeare_10ep: the published A/B setting; T over the first 3 batches at each epoch's end, beside every batch.
local experiment, data, models, train = require 'experiment', require 'data', require 'models', require 'train'
local published = require 'research.published'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 64, seq = 100, stride = 100, split = 0.9, drop_last = true },
  model = { cell = 'gru', embed = 128, hidden = 256, layers = 2 },
  optim = { name = 'adam', lr = 2e-3 },
  train = { epochs = 10, seed = 42, device = 'auto' },
  tscore = { every = 1 },
  probe = { batches = 3 },
}

-- Published numbers of this configuration and no other: train, val, T of the first 3 batches.
local PUBLISHED = {
  { 2.2023, 1.8921, .9131 }, { 1.7029, 1.7408, .9319 }, { 1.5442, 1.6716, .9408 }, { 1.4588, 1.6313, .9382 },
  { 1.4077, 1.5996, .9429 }, { 1.3709, 1.5803, .9491 }, { 1.3416, 1.5689, .9493 }, { 1.3189, 1.5611, .9495 },
  { 1.3007, 1.5595, .9514 }, { 1.2844, 1.5614, .9537 },
}

local text = data.text(cfg.data)
local m = cfg.model
local model = models.char_rnn {
  vocab = text.vocab_size, cell = m.cell, embed = m.embed, hidden = m.hidden, layers = m.layers }
local probe = require 'callbacks.tscore' { batches = cfg.probe.batches }
local fit = train.fit {
  model = model, data = text, optim = cfg.optim, tscore = cfg.tscore, options = cfg.train,
  callbacks = { probe, 'sample_text' },
}

local function number(x) return x and ('%.4f'):format(x) or 'NA' end
local other = published.difference(experiment.current(), text.sha256, { ['^train%.epochs$'] = true })
print(other and ('not the published configuration (%s): its numbers are left out'):format(other)
  or 'epoch   train  published     val  published       T  published   T all batches')
if other then print 'epoch   train     val       T   T all batches' end
for i, epoch in ipairs(fit.epochs) do
  local p, all = PUBLISHED[i] or {}, number(epoch.tscore and epoch.tscore.mean)
  local train_loss, val_loss, t = number(epoch.train_loss), number(epoch.val_loss), number(probe.history[i])
  if other then
    print(('%5d  %s  %s  %s          %s'):format(i, train_loss, val_loss, t, all))
  else
    print(('%5d  %s     %s  %s     %s  %s     %s          %s')
      :format(i, train_loss, number(p[1]), val_loss, number(p[2]), t, number(p[3]), all))
  end
end
if other then return end
local off, train_off = 0, 0
for i, epoch in ipairs(fit.epochs) do
  local p = PUBLISHED[i] or {}
  local function far(ours, theirs) return ours and theirs and math.abs(ours - theirs) or 0 end
  off = math.max(off, far(epoch.val_loss, p[2]), far(probe.history[i], p[3]))
  train_off = math.max(train_off, far(epoch.train_loss, p[1]))
end
print(('Found: of the published series train is off by %.4f at most, val and T by %.4f.'):format(train_off, off))
