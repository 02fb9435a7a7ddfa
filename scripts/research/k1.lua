-- What the K-1 experiments share: models of equal size as tree and dense, one training of an arm, its numbers.
local fail = require 'fail'
local models = require 'models'
local nearest = require 'nearest'
local optim = require 'optim'
local pretty = require 'pretty'
local selection_report = require 'research.selection_report'
local torch = require 'torch'
local train = require 'train'

local k1 = {}

---The loss of an untrained model whose head is drawn Xavier uniform after a norm: ln V + d / (V + d). Half the
---variance of the logits, 2 d / (V + d), comes on top of ln V.
---@param vocab integer
---@param d_model integer
---@return number
function k1.expected_loss(vocab, d_model)
  return math.log(vocab) + d_model / (vocab + d_model)
end

local function count_nodes(branching)
  local nodes, level = 1, 1
  for _, b in ipairs(branching) do
    level = level * b
    nodes = nodes + level
  end
  return nodes
end

local function dense(m, vocab, seq, layers)
  return models.transformer_lm { vocab = vocab, max_len = seq, d_model = m.d_model, heads = m.heads, ff = m.ff,
    layers = layers, dropout = m.dropout, init = 'xavier' }
end

local builders = {
  tree = function(m, vocab, seq)
    return models.k1_tree { vocab = vocab, max_len = seq, branching = m.branching, d_model = m.d_model, heads = m.heads,
      ff = m.ff, dropout = m.dropout, forward = m.forward }
  end,
  -- As many blocks one after the other: the same parameters and work, another depth.
  dense_deep = function(m, vocab, seq) return dense(m, vocab, seq, count_nodes(m.branching)) end,
  -- One block a level, as wide as all its nodes: the same depth and work.
  dense_wide = function(m, vocab, seq)
    return models.k1_wide { vocab = vocab, max_len = seq, branching = m.branching, d_model = m.d_model, heads = m.heads,
      ff = m.ff, dropout = m.dropout }
  end,
  -- What was published as the baseline: four blocks, fewer parameters.
  dense_4 = function(m, vocab, seq) return dense(m, vocab, seq, 4) end,
}

---A model by name: tree, dense_deep, dense_wide or dense_4.
---@param name string
---@param m table the section `model`: branching, d_model, heads, ff, dropout, forward
---@param vocab integer
---@param seq integer
---@return Module
function k1.build(name, m, vocab, seq)
  k1.check_names({ name }, 'model')
  return builders[name](m, vocab, seq)
end

local KNOWN = { model = pretty.sorted_keys(builders), rule = optim.selection_rules() }

---Raises (exit 3) for an unknown name: before the first training, not when its turn comes.
---@param names string[]
---@param kind string model or rule
function k1.check_names(names, kind)
  for _, name in ipairs(names) do
    local known = false
    for _, one in ipairs(KNOWN[kind]) do known = known or one == name end
    if not known then
      fail.config("k1: there is no %s '%s'%s", kind, tostring(name), nearest.hint(tostring(name), KNOWN[kind]))
    end
  end
end

---Texts with the windows of a seed, unless domains.seed was given: arms of one seed see the same batches, other seeds
---others.
---@param text table of data.domains
---@param seed integer
---@return table
function k1.seeded(text, seed)
  return text.options.seed and text or text:with_seed(seed)
end

---Trains one model on data of data.domains and gives its numbers: final val loss, its parameters, seconds of
---training, tokens a second in the median update, and for a tree the shares that were touched and the balance. The
---windows are those of k1.seeded.
---@param cfg table with sections model, optim, train
---@param text table of data.domains
---@param o { model: string?, seed: integer, select: table?, callbacks: table?, optim: table?, model_options: table?,
---loss: function?, checkpoint: table? }
---@return table numbers, table fit, Module model
function k1.train(cfg, text, o)
  local m = {}
  for key, value in pairs(cfg.model) do m[key] = value end
  for key, value in pairs(o.model_options or {}) do m[key] = value end
  text = k1.seeded(text, o.seed)
  torch.manual_seed(o.seed)
  local name = o.model or 'tree'
  local model = k1.build(name, m, text.vocab_size, text.options.seq)
  local options = {}
  for key, value in pairs(cfg.train) do options[key] = value end
  options.seed, options.expect_loss = o.seed, options.expect_loss or k1.expected_loss(text.vocab_size, m.d_model)
  local fit = train.fit { model = model, data = text, optim = o.optim or cfg.optim, options = options,
    select = o.select, callbacks = o.callbacks or {}, loss = o.loss, checkpoint = o.checkpoint }
  local last, seconds = fit.epochs[#fit.epochs], 0
  for _, epoch in ipairs(fit.epochs) do seconds = seconds + epoch.train_s end
  local numbers = { val_loss = last and last.val_loss, train_loss = last and last.train_loss,
    parameters = model:parameter_count(), seconds = seconds, step_ms = fit.step_median_s and 1e3 * fit.step_median_s,
    updates = fit.steps,
    tokens_per_s = fit.step_median_s and text.options.batch * text.options.seq / fit.step_median_s }
  if fit.selection then
    local shares, balance = fit.selection, fit.selection.balance
    numbers.touched_pct, numbers.effective_pct = shares.touched and 100 * shares.touched, 100 * shares.effective
    numbers.leaf_gini, numbers.leaf_entropy, numbers.dead = balance.leaf_gini, balance.leaf_entropy, balance.dead
    numbers.information = selection_report.mutual_information(shares.report.histogram)
    numbers.effective_updates = fit.steps * shares.effective
  end
  return numbers, fit, model
end

-- The place of a node within its level, from 0, and how many nodes that has.
local function place_of(node, report)
  local place, count = 0, 0
  for _, other in ipairs(report.nodes) do
    if other.level == node.level then
      count = count + 1
      if other.node < node.node then place = place + 1 end
    end
  end
  return place, count
end

---The mean cross entropy of a model's logits, as a function (model, x, y).
k1.loss_of = require 'research.token_loss'

---The published loss: logits at t against the token after the next one (the targets were shifted twice).
---@param net Module
---@param x Tensor
---@param y Tensor
---@return Tensor loss, integer targets
function k1.t_plus_2(net, x, y)
  local logits, steps = net(x), y:size(1) - 1
  local later = y:narrow(1, 1, steps)
  return torch.cross_entropy_loss(logits:narrow(1, 0, steps):reshape { -1, logits:size(-1) }, later:reshape { -1 }),
    later:numel()
end

-- The loss of a model while `change` has been at work on the parameters of a prefix. All is put back, whatever happens.
local function loss_while_changed(model, prefix, change, loss)
  return torch.no_grad(function()
    local kept = {}
    for _, parameter in ipairs(model:named_parameters()) do
      if parameter.name:find(prefix, 1, true) == 1 then
        kept[#kept + 1] = { parameter.tensor, parameter.tensor:clone() }
        change(parameter)
      end
    end
    local ok, value = pcall(loss)
    for _, pair in ipairs(kept) do pair[1]:copy_(pair[2]) end
    if not ok then error(value, 0) end
    return value
  end)
end

---The loss of a tree without one of its leaves: the mean is over the others. All is put back.
---@param net Module
---@param leaf table a node of Selection:report
---@param report table
---@param loss fun(): number
---@return number? nil for an only leaf
function k1.loss_without(net, leaf, report, loss)
  local place, count = place_of(leaf, report)
  if count < 2 then return nil end
  -- A leaf gives what its last norm gives: without weight and bias that is 0.
  return loss_while_changed(net, ('tree.level%d.norm2.'):format(leaf.level), function(parameter)
    parameter.tensor:mul_(count / (count - 1))
    parameter.tensor[place]:zero_()
  end, loss)
end

---The loss of a model of which one node alone has made an update. All is put back.
---@param model Module as it was before the update
---@param node table a node of Selection:report
---@param report table
---@param update table<string, Tensor> what the update adds to each parameter, by name
---@param loss fun(): number
---@return number
function k1.loss_with_update(model, node, report, update, loss)
  local place = place_of(node, report)
  return loss_while_changed(model, ('tree.level%d.'):format(node.level), function(parameter)
    local delta = update[parameter.name]
    if delta then parameter.tensor[place]:add_(delta[place]) end
  end, loss)
end

return k1
