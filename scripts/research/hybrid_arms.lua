-- The arms of experiments on predicted updates: the same initial weights, batches and evals, and the two controls that
-- decide: plain training of as many updates, and of as much time.
local arms = require 'arms'
local data = require 'data'
local fail = require 'fail'
local models = require 'models'
local nearest = require 'nearest'
local options = require 'options'
local synthetic = require 'research.synthetic'
local torch = require 'torch'
local train = require 'train'

local hybrid_arms = {}

local DATA = {
  text = function(o) return data.text(o.text) end,
  markov = function(o) return synthetic.markov(o.synthetic) end,
  random = function(o) return synthetic.random(o.synthetic) end,
}

---The data of a config: its section `data` for a text, `tokens` for made-up ones.
---@param kind string text, markov or random
---@param cfg table
---@param seed integer
function hybrid_arms.data(kind, cfg, seed)
  if not DATA[kind] then fail.config("tokens.kind is '%s'; use text, markov or random", tostring(kind)) end
  local t = cfg.tokens
  return DATA[kind] { text = cfg.data, synthetic = { vocab = t.vocab, batch = t.batch, seq = t.seq,
    batches = t.batches, seed = seed } }
end

local PREDICTED = { noop = true, extrapolate = true, linear_fit = true, random_dir = true }
hybrid_arms.NAMES = { 'baseline', 'noop', 'extrapolate', 'linear_fit', 'random_dir', 'equal_updates', 'equal_time' }

-- Seconds of training until the loss was reached at an eval; nil where it never was.
local function time_to(fit, target)
  local spent = 0
  for _, epoch in ipairs(fit.epochs) do
    spent = spent + epoch.train_s
    if target and epoch.val_loss and epoch.val_loss <= target then return spent end
  end
  return nil
end

local function fit_arm(cfg, name, seed, known, changes)
  local text = hybrid_arms.data(cfg.tokens.kind, cfg, seed)
  torch.manual_seed(seed)
  local model = models.gpt2 { vocab = text.vocab_size, max_len = cfg.model.max_len, d_model = cfg.model.d_model,
    heads = cfg.model.heads, layers = cfg.model.layers, dropout = cfg.model.dropout }
  local callbacks = {}
  if PREDICTED[name] then
    local own = options.with(cfg.hybrid, { arm = name, seed = seed })
    own[1] = 'hybrid'
    callbacks[1] = own
  end
  local fit = train.fit { model = model, data = text, optim = cfg.optim, eval = cfg.eval, callbacks = callbacks,
    options = options.with(options.with(cfg.train, { seed = seed }), changes or {}) }
  local last = fit.epochs[#fit.epochs] or {}
  local steps = fit.hybrid and fit.hybrid.steps
  local seconds = 0
  for _, epoch in ipairs(fit.epochs) do seconds = seconds + epoch.train_s end
  if name == 'baseline' then
    local place = math.max(1, math.floor(0.6 * #fit.epochs))
    known.target = fit.epochs[place] and fit.epochs[place].val_loss
    known.update_s = seconds / math.max(1, fit.steps)
  end
  local backward = steps and fit.steps - steps.predict - (name == 'noop' and steps.correct or 0) or fit.steps
  if name == cfg.compare.control then known.backward, known.seconds = backward, seconds end
  return { val = last.val_loss, to_target = time_to(fit, known.target), backward = backward, seconds = seconds,
    rejected_pct = steps and fit.hybrid.blocks > 0 and 100 * fit.hybrid.rejected / fit.hybrid.blocks or nil,
    predicted = steps and steps.predict or nil }
end

---Runs the arms of a config: compare.arms over compare.seeds. equal_updates and equal_time have the backward passes and
---the time of compare.control, which stands before them.
---@param cfg table
---@return table result of arms.run
function hybrid_arms.run(cfg)
  local seen, list, known = {}, {}, {}
  for i, name in ipairs(cfg.compare.arms) do
    local usual = PREDICTED[name] or name == 'baseline' or name == 'equal_updates' or name == 'equal_time'
    if not usual then
      fail.config("compare.arms: '%s' is not an arm%s", tostring(name), nearest.hint(tostring(name), hybrid_arms.NAMES))
    end
    if i == 1 and name ~= 'baseline' then
      fail.config 'compare.arms: the first arm is baseline, which sets the target'
    end
    if name:find '^equal_' and not seen[cfg.compare.control] then
      fail.config("compare.arms: '%s' needs the arm '%s' (compare.control) before it", name, cfg.compare.control)
    end
    seen[name] = true
    list[i] = { name, function(seed)
      known[seed] = known[seed] or {}
      local k, changes = known[seed], nil
      if name == 'equal_updates' then changes = { max_steps = k.backward } end
      if name == 'equal_time' then
        changes = { max_steps = math.max(1, math.floor(k.seconds / k.update_s + 0.5)) }
      end
      return fit_arm(cfg, name, seed, k, changes)
    end }
  end
  return arms.run { seeds = cfg.compare.seeds, arms = list }
end

---Prints the table and what may be said.
---@param result table
---@param quality boolean? false: the data cannot be learnt, so nothing is claimed
function hybrid_arms.print(result, quality)
  arms.print(result, { { 'val', 'val at the end' }, { 'to_target', 's to the target' },
    { 'backward', 'backward passes' }, { 'predicted', 'predicted' }, { 'rejected_pct', 'blocks rejected %' },
    { 'seconds', 'training s' } })
  print '\nThe target is the val loss of the baseline after 60 % of its updates, for each seed; a time is only there'
  print 'where it was reached. Probe forwards and rejected blocks are in the time.'
  if quality == false then
    print 'Nothing can be learnt from these data: no claim about quality is made.'
    return
  end
  print('\n' .. arms.finding(result, 'val', 'val at the end'))
  print(arms.finding(result, 'to_target', 'seconds to the target'))
end

return hybrid_arms
