-- tscore_batchsize: T against the batch size, and of distant windows against windows shifted by one character, with the
-- same model: two artefacts that explain low published values.
local data, experiment, models = require 'data', require 'experiment', require 'models'
local columns, findings, statistics = require 'base.columns', require 'compare.findings', require 'statistics'
local token_loss, torch, train = require 'research.token_loss', require 'torch', require 'train'
local tscore, windows = require 'tscore', require 'research.windows'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 64, seq = 100, stride = 100, split = 0.9, drop_last = true },
  model = { embed = 128, hidden = 256, layers = 2 },
  optim = { name = 'adam', lr = 2e-3 },
  train = { epochs = 2, seed = 42 },
  measure = { batches = { 8, 16, 32, 64, 128 }, repeats = 5 },
}

local text, m = data.text(cfg.data), cfg.model
local model = models.char_rnn { vocab = text.vocab_size, embed = m.embed, hidden = m.hidden, layers = m.layers }
local ids, seq = text.ids, cfg.data.seq
local repeats = experiment.current().flags.fast_dev_run and 2 or cfg.measure.repeats

local function interval(values)
  local one = statistics.interval(values)
  if one.n == 0 then return 'NA' end
  return one.half and findings.interval_text(one, findings.number) or findings.number(one.mean)
end

-- T and T_c over several draws of windows.
local function measure(places, count)
  local t, corrected, generator = {}, {}, torch.Generator()
  generator:manual_seed(7)
  for i = 1, repeats do
    local x, y = windows.at(ids, places(text.length, count, seq, generator), seq)
    local score = tscore.measure(model, function() return token_loss(model, x, y) end, { verify = i == 1 })
    t[i], corrected[i] = score.t, score.t_corrected
  end
  return t, corrected
end

local means = {}
local function table_of(title)
  model:eval()
  local rows = { { 'windows', 'T distant', 'T_c distant', 'T shifted by 1', 'T_c shifted by 1' } }
  for _, count in ipairs(cfg.measure.batches) do
    local distant, distant_c = measure(windows.distant, count)
    local shifted, shifted_c = measure(windows.shifted, count)
    rows[#rows + 1] = { ('%d'):format(count), interval(distant), interval(distant_c), interval(shifted),
      interval(shifted_c) }
    means[#means + 1] = { title = title, count = count, distant = statistics.interval(distant).mean,
      corrected = statistics.interval(distant_c).mean, shifted = statistics.interval(shifted).mean }
  end
  print(('\n%s model, %d draws each'):format(title, repeats))
  print(table.concat(columns.lines(rows), '\n'))
  model:train()
end

table_of 'untrained'
train.fit { model = model, data = text, optim = cfg.optim, options = cfg.train }
table_of 'trained'

local first, last = means[#means - #cfg.measure.batches + 1], means[#means]
print(('\nFound: with the same model T of %d distant windows is %.3f and of %d shifted by one character %.3f; from %d '
  .. 'to %d windows T of distant ones goes from %.3f to %.3f, T_c from %.3f to %.3f.'):format(last.count, last.distant,
  last.count, last.shifted, first.count, last.count, first.distant, last.distant, first.corrected, last.corrected))
