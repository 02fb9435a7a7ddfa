-- outliers: which samples pull hardest? The gradient norm of every window of a text after some training, and the text
-- of those with the largest.
local data, experiment, models, train = require 'data', require 'experiment', require 'models', require 'train'
local columns, token_loss, tscore = require 'base.columns', require 'research.token_loss', require 'tscore'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 64, seq = 100, stride = 100, split = 0.9, drop_last = true },
  model = { embed = 128, hidden = 256, layers = 2 },
  optim = { name = 'adam', lr = 2e-3 },
  train = { epochs = 3, seed = 42 },
  outliers = { most = 20, batches = 0 },
}

local text, m = data.text(cfg.data), cfg.model
local model = models.char_rnn { vocab = text.vocab_size, embed = m.embed, hidden = m.hidden, layers = m.layers }
train.fit { model = model, data = text, optim = cfg.optim, options = cfg.train }

model:eval()
local fast = experiment.current().flags.fast_dev_run
local count = cfg.outliers.batches > 0 and math.min(cfg.outliers.batches, text.train:count()) or text.train:count()
if fast then count = math.min(count, 3) end
local all, q = {}, 0
for b = 0, count - 1 do
  local x, y = text.train:get(b)
  local score = tscore.measure(model, function() return token_loss(model, x, y) end, { verify = b == 0 })
  for row, square in ipairs(score.sample_sq) do
    -- Shares of the mean loss: of the sample's own loss they are as many times as large as the batch has rows.
    square = square * score.n ^ 2
    all[#all + 1] = { square = square, batch = b, row = row - 1 }
    q = q + square
  end
end
table.sort(all, function(a, b) return a.square > b.square end)

local mean, rows, share = math.sqrt(q / #all), { { 'rank', '||g|| / rms', 'at', 'text' } }, 0
for i = 1, math.min(cfg.outliers.most, #all) do
  local one = all[i]
  local x = text.train:get(one.batch)
  local line = text:decode(x[one.row]):gsub('\n', '\\n')
  share = share + one.square / q
  rows[i + 1] = { ('%d'):format(i), ('%.2f'):format(math.sqrt(one.square) / mean),
    ('%d'):format((one.batch * cfg.data.batch + one.row) * cfg.data.stride), line:sub(1, 90) }
end
print(table.concat(columns.lines(rows), '\n'))
print(('\nFound: the %d of %d windows that pull hardest have %.1f %% of all squared gradients (evenly: %.1f %%); the '
  .. 'hardest pulls %.1f times as hard as the root mean square.'):format(#rows - 1, #all, 100 * share,
  100 * (#rows - 1) / #all, math.sqrt(all[1].square) / mean))
