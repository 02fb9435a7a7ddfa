-- What the RandyGPT experiments share: profiles of optimiser and schedule, one training, the loss over a whole split.
local columns = require 'base.columns'
local count_models = require 'research.count_models'
local fail = require 'fail'
local gradient_modes = require 'research.gradient_modes'
local models = require 'models'
local nearest = require 'nearest'
local options = require 'options'
local token_loss = require 'research.token_loss'
local torch = require 'torch'
local train = require 'train'

local randygpt = {}

-- Optimiser and schedule of a training of so many updates.
local PROFILES = {
  v03 = function() return { name = 'adam', lr = 3e-4 } end,
  -- Its next version: each parameter's gradient clipped by itself.
  clip = function()
    return { name = 'adam', lr = 3e-4, clip_each = 1, schedule = 'cosine', warmup = 100, min_factor = 0.1 }
  end,
  late = function(updates)
    return { name = 'adamw', lr = 1e-4, weight_decay = 0.1, clip_norm = 1, schedule = 'cosine', min_factor = 0.1,
      hold = math.floor(3 * updates / 5) }
  end,
  published_all = function() return { name = 'adam', lr = 3e-5 } end,
  small_fast = function(updates)
    return { name = 'adamw', lr = 1e-3, weight_decay = 0.1, beta1 = 0.9, beta2 = 0.99, clip_norm = 1,
      schedule = 'cosine', warmup = math.min(100, math.floor(updates / 10)), min_factor = 0.1 }
  end,
}
randygpt.PROFILES = { 'v03', 'clip', 'late', 'published_all', 'small_fast' }

---Options of the section optim.
---@param profile string
---@param updates integer of the training
---@return table
function randygpt.optim(profile, updates)
  if not PROFILES[profile] then
    fail.config("profile '%s' is not known%s", tostring(profile), nearest.hint(tostring(profile), randygpt.PROFILES))
  end
  return PROFILES[profile](updates)
end

---The loss of a mode: of all positions (nil: the usual cross entropy) or of the last one.
---@param mode string
---@return function?
function randygpt.loss(mode)
  if not gradient_modes.last_position(mode) then return nil end
  return function(model, x, y)
    local last = x:size(1) - 1
    return torch.cross_entropy_loss(model(x):select(1, last), y:select(1, last))
  end
end

---Mean loss over all batches of a split, in eval mode; the model is in that mode afterwards.
---@param model Module
---@param batches Batches
---@return number
function randygpt.whole_loss(model, batches)
  model:eval()
  local sum, rows = 0, 0
  torch.no_grad(function()
    for i = 0, batches:count() - 1 do
      local x, y = batches:get(i)
      sum, rows = sum + token_loss(model, x, y):item() * x:size(0), rows + x:size(0)
    end
  end)
  return sum / rows
end

---Trains one model. o: seed, grad_mode, init, profile; more of the model in `model`, further parts of train.fit.
---@param cfg table config of the experiment: model, train, eval, tscore
---@param text TextData
---@param o table
---@return table numbers val (over the whole split), seconds, updates
---@return table fit
---@return Module model
function randygpt.fit(cfg, text, o)
  local mode = o.grad_mode or cfg.model.grad_mode or 'full'
  torch.manual_seed(o.seed)
  local model = models.randygpt(options.with(cfg.model, options.with(o.model or {}, { vocab = text.vocab_size,
    grad_mode = mode, init = o.init or cfg.model.init })))
  local updates = cfg.train.epochs * text.train:count()
  local settings = options.with(cfg.train, { seed = o.seed })
  if #gradient_modes.dead(mode) > 0 then settings.allow_dead = gradient_modes.dead(mode) end
  local fit = train.fit { model = model, data = text, optim = randygpt.optim(o.profile or cfg.profile, updates),
    options = settings, eval = cfg.eval, tscore = cfg.tscore, loss = randygpt.loss(mode), callbacks = o.callbacks,
    guards = o.guards }
  return { val = randygpt.whole_loss(model, text.val), seconds = fit.seconds, updates = fit.steps }, fit, model
end

---Lines on what counting gives for a text, to be printed beside every loss.
---@param text TextData
---@return string
function randygpt.count_lines(text)
  local found = count_models.of(text)
  return ('Counting alone gives val %.3f by single characters, %.3f by pairs, %.3f by triples: a model above the pairs '
    .. 'has learnt nothing of the context.'):format(found.unigram, found.bigram, found.trigram)
end

---Prints a table of rows of cells.
---@param rows string[][]
function randygpt.print(rows) print(table.concat(columns.lines(rows), '\n')) end

return randygpt
