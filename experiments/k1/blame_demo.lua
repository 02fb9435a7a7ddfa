-- blame_demo: what does one update of a selective tree look like? Its tree, path, norms and shares, and what is blamed.
local experiment, data = require 'experiment', require 'data'
local k1, selection = require 'research.k1', require 'fit.selection'
local torch = require 'torch'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' }, { corpus = 'python_code' }, { corpus = 'kjv' } },
    batch = 16, seq = 64,
    allow_leak = true, -- python_code says again in its val split what it said in train: a tenth of it
    batches = 70, interleaved = true },
  model = { branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0), forward = 'tree' },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  select = { rule = 'path' },
  train = { epochs = 1, seed = 42 },
  eval = { val_cap = 5 },
  demo = { every = 70, top = 8 },
}

local text = data.domains(cfg.domains)
local seen, all = {}, {} -- token counts of the batches that blamed a leaf, and of all batches

-- Rules that move every node choose no path.
local has_path = cfg.select.rule ~= 'published' and cfg.select.rule ~= 'all' and cfg.select.rule ~= 'weight_topk'
local function tell(report, step)
  print(('update %d'):format(step))
  for _, node in ipairs(report.nodes) do
    print(('  %s%-8s norm %.4f  share %.2f%s'):format(('  '):rep(node.level), node.label, node.score, node.factor,
      has_path and node.factor > 0 and '  <- selected' or ''))
  end
end

-- The leaf that the last update counted for, by its place among the leaves.
local blames = {}
local function blamed_leaf(report)
  local place, found = 0, nil
  for _, node in ipairs(report.nodes) do
    if node.leaf then
      place = place + 1
      local sum = 0
      for _, row in ipairs(report.histogram) do sum = sum + row[place] end
      if sum > (blames[place] or 0) then found = node.label end
      blames[place] = sum
    end
  end
  return found
end

local watch = { name = 'blame', every = 1, on_step = function(ctx, record)
  local report = ctx.selection:report()
  if record.step == 1 or record.step % cfg.demo.every == 0 then tell(report, record.step) end
  local x = text.train:get(record.batch - 1)
  local counts = x:flatten():bincount(nil, text.vocab_size):tolist()
  local label = blamed_leaf(report)
  if not label then return end
  seen[label] = seen[label] or {}
  for id, count in ipairs(counts) do
    seen[label][id] = (seen[label][id] or 0) + count
    all[id] = (all[id] or 0) + count
  end
end }

local numbers, fit = k1.train(cfg, text, { seed = cfg.train.seed, select = cfg.select, callbacks = { watch } })
print('\n' .. table.concat(selection.node_lines(fit.selection.report), '\n'))

local function sum(counts)
  local total = 0
  for _, count in pairs(counts) do total = total + count end
  return total
end
print('\ncharacters that are more frequent in the batches that blamed a leaf than in all')
for _, node in ipairs(fit.selection.report.nodes) do
  local counts = seen[node.label]
  if counts then
    local ranked, own, total = {}, sum(counts), sum(all)
    for id, count in pairs(counts) do
      local lift = count / own / (all[id] / total)
      if count >= 20 and lift > 1 then ranked[#ranked + 1] = { id = id, lift = lift } end
    end
    table.sort(ranked, function(a, b) return a.lift > b.lift or (a.lift == b.lift and a.id < b.id) end)
    local words = {}
    for i = 1, math.min(cfg.demo.top, #ranked) do
      local shown = text:decode(torch.tensor({ ranked[i].id - 1 }, { dtype = 'int64' })):gsub('\n', '\\n')
      words[i] = ('"%s" x%.2f'):format(shown, ranked[i].lift)
    end
    print(('  %-8s %s'):format(node.label, #words > 0 and table.concat(words, '  ') or 'none'))
  end
end
print(('\nFound: updates made: %d; each moved %.1f %% of all parameters in effect; leaf Gini %s.')
  :format(numbers.updates, numbers.effective_pct, numbers.leaf_gini and ('%.2f'):format(numbers.leaf_gini) or 'NA'))
