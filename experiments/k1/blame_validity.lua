-- blame_validity: is the node with the largest gradient the one whose update helps most? Rank correlation of gradient
-- norms with what the optimiser's own update of one node alone does to the loss of held-out batches.
local arms, experiment, data = require 'arms', require 'experiment', require 'data'
local findings, k1 = require 'compare.findings', require 'research.k1'
local fail, optim, statistics, torch = require 'fail', require 'optim', require 'statistics', require 'torch'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' } }, batch = 16, seq = 64, batches = 200 },
  model = { branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0),
    forward = 'level_mean' },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  train = { epochs = 1 },
  eval = { val_cap = 5 },
  compare = { seeds = { 1, 2, 3 } },
  probe = { warm_up = 30, batches = 10, held_out = 5 }, -- warm_up: updates that fill the optimiser's moments
}
if experiment.current().flags.fast_dev_run then cfg.probe.warm_up, cfg.probe.batches, cfg.probe.held_out = 1, 1, 1 end

for _, key in ipairs { 'batches', 'held_out' } do
  if cfg.probe[key] < 1 then fail.config('probe.%s is %d, expected at least 1', key, cfg.probe[key]) end
end
if cfg.optim.name ~= 'adamw' then
  fail.config("optim.name is '%s', expected adamw, whose update is looked at", cfg.optim.name)
end

local text = data.domains(cfg.domains)

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

-- Correlations are of one seed's model and held-out batches, so their mean is one value; seeds are what is counted.
local function validity(seed)
  local _, _, model = k1.train(cfg, text, { seed = seed, select = { rule = 'all' } })
  model:eval()
  local own = k1.seeded(text, seed)
  local adamw = optim.AdamW(model, { lr = cfg.optim.lr, weight_decay = cfg.optim.weight_decay, beta1 = cfg.optim.beta1,
    beta2 = cfg.optim.beta2, eps = cfg.optim.eps })
  local selection, parameters = optim.select(adamw, model, { rule = 'all' }), model:named_parameters()
  local val = own:val_of(1)
  local function held_out()
    local sum, n = 0, math.min(cfg.probe.held_out, val:count())
    for b = 0, n - 1 do sum = sum + k1.loss_of(model, val:get(b)):item() end
    return sum / n
  end
  local function step(batch)
    model:zero_grad()
    k1.loss_of(model, own.train:get(batch % own.train:count())):backward()
    if cfg.optim.clip_norm > 0 then optim.clip_grad_norm_(model, cfg.optim.clip_norm) end
    adamw:step()
  end
  for b = 0, cfg.probe.warm_up - 1 do torch.scope(function() step(b) end) end

  local correlations, within = {}, {}
  for b = 0, cfg.probe.batches - 1 do
    torch.scope(function()
      local before, update = {}, {}
      for i, parameter in ipairs(parameters) do before[i] = parameter.tensor:detach():clone() end
      step(cfg.probe.warm_up + b)
      torch.no_grad(function()
        for i, parameter in ipairs(parameters) do
          update[parameter.name] = parameter.tensor - before[i]
          parameter.tensor:copy_(before[i])
        end
      end)
      local report, norms, gains, start = selection:report(), {}, {}, torch.no_grad(held_out)
      local levels = {}
      for i, node in ipairs(report.nodes) do
        norms[i], gains[i] = node.score, start - k1.loss_with_update(model, node, report, update, held_out)
        local level = levels[node.level] or { norms = {}, gains = {} }
        levels[node.level] = level
        table.insert(level.norms, norms[i])
        table.insert(level.gains, gains[i])
      end
      correlations[#correlations + 1] = correlation(norms, gains)
      for _, level in pairs(levels) do within[#within + 1] = correlation(level.norms, level.gains) end
      -- The whole update stays made: the next batch goes on from it.
      torch.no_grad(function()
        for _, parameter in ipairs(parameters) do parameter.tensor:add_(update[parameter.name]) end
      end)
    end)
  end
  return { correlation = statistics.mean(correlations), within = statistics.mean(within) }
end

local result = arms.run { seeds = cfg.compare.seeds, arms = { { 'AdamW, one node alone', validity } } }
local function interval_of(metric) return statistics.interval(arms.values(result.arms[1], metric)) end
-- A path is chosen among the nodes of one level, and a level's mean divides the gradients of its nodes: nodes of all
-- levels together would correlate by that alone.
local within = interval_of 'within'
print('rank correlation of a node\'s gradient norm and the gain of its own update, over seeds')
print('nodes of one level  ' .. findings.interval_text(within))
print('all nodes           ' .. findings.interval_text(interval_of 'correlation'))
print(('Found: %s.'):format(findings.sign(within,
  'of the nodes of a level those with larger gradients help more when they alone are updated',
  'of the nodes of a level those with larger gradients help less when they alone are updated')))
