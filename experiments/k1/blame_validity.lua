-- blame_validity: is the node with the largest gradient the one whose update helps most? Rank correlation of norms with what a step of one
-- node alone does to the loss of another batch.
local claims, experiment, data, k1, statistics, torch = require 'claims', require 'experiment', require 'data', require 'k1',
  require 'statistics', require 'torch'
local optim = require 'optim'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' } }, batch = 16, seq = 64, batches = 200 },
  model = { branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0), forward = 'level_mean' },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  train = { epochs = 1, seed = 42 },
  eval = { val_cap = 5 },
  probe = { batches = 20, lr = 0.01 },
}

local text = data.domains(cfg.domains)
local _, _, model = k1.train(cfg, text, { seed = cfg.train.seed, select = { rule = 'all' } })
model:eval()

local function loss_of(x, y) return k1.loss_of(model, x, y) end

-- Places of equal values share their mean rank.
local function ranks(values)
  local order, made = {}, {}
  for i = 1, #values do order[i] = i end
  table.sort(order, function(a, b) return values[a] < values[b] end)
  local from = 1
  while from <= #order do
    local to = from
    while to < #order and values[order[to + 1]] == values[order[from]] do to = to + 1 end
    for i = from, to do made[order[i]] = (from + to) / 2 end
    from = to + 1
  end
  return made
end

local function correlation(a, b)
  local x, y = ranks(a), ranks(b)
  local mx, my, xy, xx, yy = statistics.mean(x), statistics.mean(y), 0, 0, 0
  for i = 1, #x do
    xy, xx, yy = xy + (x[i] - mx) * (y[i] - my), xx + (x[i] - mx) ^ 2, yy + (y[i] - my) ^ 2
  end
  return xx > 0 and yy > 0 and xy / math.sqrt(xx * yy) or nil
end

local plain = optim.SGD(model, { lr = 0 }) -- moves nothing: the selection alone looks at the gradients
local probe = optim.select(plain, model, { rule = 'all' })
local held_x, held_y = text:val_of(1):get(0)
local correlations = {}
for b = 0, math.min(cfg.probe.batches, text.train:count()) - 1 do
  model:zero_grad()
  loss_of(text.train:get(b)):backward()
  plain:step()
  local report, gains = probe:report(), {}
  local before = torch.no_grad(function() return loss_of(held_x, held_y):item() end)
  for _, node in ipairs(report.nodes) do gains[node.node + 1] = before - k1.loss_after_step(model, node, report, cfg.probe.lr, function()
    return loss_of(held_x, held_y):item()
  end) end
  local norms = {}
  for i, node in ipairs(report.nodes) do norms[i] = node.score end
  correlations[#correlations + 1] = correlation(norms, gains)
end
local interval = statistics.interval(correlations)
print(('rank correlation of a node\'s norm and the gain of its own step, over batches: %s'):format(claims.interval_text(interval)))
print(('Found: %s.'):format(not interval.half and 'nothing can be claimed' or interval.mean - interval.half > 0
  and 'nodes with larger gradients help more when they alone are updated' or 'blame by gradient norm does not say which node helps'))
