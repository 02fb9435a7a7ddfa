-- tscore_methods: the same T by three ways, and what each costs: from one backward, from a backward for each sample,
-- and from the gradients of batches of two sizes.
local data, experiment, models, torch = require 'data', require 'experiment', require 'models', require 'torch'
local columns, host, token_loss = require 'base.columns', require 'host', require 'research.token_loss'
local findings, statistics = require 'compare.findings', require 'statistics'
local tscore = require 'tscore'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 64, seq = 100, stride = 100, split = 0.9, drop_last = true },
  model = { embed = 128, hidden = 256, layers = 2 },
  train = { seed = 42 },
  measure = { batches = 5, micro = 8 },
}

torch.manual_seed(cfg.train.seed)
local text, m = data.text(cfg.data), cfg.model
local model = models.char_rnn { vocab = text.vocab_size, embed = m.embed, hidden = m.hidden, layers = m.layers }
local x, y = text.train:get(0)
local batches = experiment.current().flags.fast_dev_run and 2 or math.min(cfg.measure.batches, text.train:count())
local rows, micro = x:size(0), cfg.measure.micro

local function rows_loss(from, count)
  return token_loss(model, x:narrow(0, from, count), y:narrow(0, from, count))
end

-- The squared norm of the gradient of the mean loss of some rows.
local function gradient_square(from, count)
  model:zero_grad()
  rows_loss(from, count):backward()
  local sum = 0
  for _, parameter in ipairs(model:parameters()) do
    if parameter.grad then sum = sum + parameter.grad:to('float64'):pow(2):sum():item() end
  end
  model:zero_grad()
  return sum
end

local ways = {
  { 'a backward alone', function() return { t = nil, q = nil, square = gradient_square(0, rows) } end },
  { 'exact: in the backward', function()
    return tscore.measure(model, function() return rows_loss(0, rows) end, { verify = false })
  end },
  { ('loop: %d backwards'):format(rows), function()
    return tscore.loop(model, rows, function(i) return rows_loss(i, 1) end)
  end },
  { ('micro: batches of %d'):format(micro), function()
    local small, parts = 0, math.floor(rows / micro)
    for b = 0, parts - 1 do small = small + gradient_square(b * micro, micro) / parts end
    return tscore.micro(small, gradient_square(0, rows), micro, rows)
  end },
}

-- Every way on every batch; the time is the best of them all.
local results, lines = {}, { { 'way', 'T', 'off the loop', 'ms', 'backwards worth' } }
for i, way in ipairs(ways) do
  way[2]() -- warm
  results[i] = { name = way[1], t = {}, off = {}, seconds = math.huge }
end
for b = 0, batches - 1 do
  x, y = text.train:get(b)
  for i, way in ipairs(ways) do
    local begin = host.now()
    results[i].t[b + 1] = way[2]().t
    results[i].seconds = math.min(results[i].seconds, host.now() - begin)
  end
  local loop = results[3].t[b + 1]
  for _, one in ipairs(results) do
    if one.t[b + 1] and loop then one.off[#one.off + 1] = one.t[b + 1] - loop end
  end
end
local function text_of(values)
  local one = statistics.interval(values)
  return one.n > 0 and findings.interval_text(one) or '-'
end
for i, one in ipairs(results) do
  local t = {}
  for b = 1, batches do t[#t + 1] = one.t[b] end
  lines[i + 1] = { one.name, text_of(t), text_of(one.off), ('%.0f'):format(1e3 * one.seconds),
    ('%.2f'):format(one.seconds / results[1].seconds) }
end
print(table.concat(columns.lines(lines), '\n'))
local micro_off = statistics.interval(results[4].off)
print(('\nFound: T from the backward that trains costs %.2f of a backward, %d backwards cost %.1f; the estimate from '
  .. 'two batch sizes is off by %s in the mean over %d batches. Published [measured]: 7.793 s for 64 backwards, beside '
  .. '.593 s for forward and backward.'):format(results[2].seconds / results[1].seconds, rows,
  results[3].seconds / results[1].seconds, findings.number(micro_off.mean), batches))
