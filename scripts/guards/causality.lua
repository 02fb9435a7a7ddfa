-- Does a model of sequences see what it predicts? (guard G45) Before the first update, on the first two samples in
-- eval mode:
--   * targets must be the inputs shifted by the declared amount: data.shift, 1 for a text (stops, 4). Data that
--     declares none is not asked, unless its targets are the inputs shifted by 2 or more, which is a shift done twice.
--   * changing the tokens behind position t must leave the logits up to t within 1e-5 of their size (stops, 6). A shift
--     of 0 predicts nothing and is not asked; model.causal=false accepts a model that may look ahead.
-- No random number of the training is drawn and no state is changed.
local fail = require 'fail'
local guard_events = require 'guards.events'
local guards = require 'guards.registry'
local lua_random = require 'fit.lua_random'
local torch = require 'torch'

local causality = {}

local SAMPLES = 2
local TOLERANCE = 1e-5 -- of the largest logit
local IGNORED = -100   -- targets that do not count
local MOST_SHIFT = 4   -- looked for where the declared shift does not fit

-- The first samples of the first batch as ids (B, T), or nil where x and y are not two sequences of the same length.
local function first_samples(batches)
  local x, y = batches:get(0)
  local function is_ids(tensor) return tensor:dim() == 2 and tensor.dtype == 'int64' end
  if not is_ids(x) or not is_ids(y) or x:size(1) ~= y:size(1) or x:size(1) < 2 then return nil end
  local rows = math.min(SAMPLES, x:size(0))
  return x:narrow(0, 0, rows), y:narrow(0, 0, rows)
end

-- Whether the targets that count are the inputs `shift` positions later.
local function is_shifted(x, y, shift)
  local length = x:size(1) - shift
  if length < 1 then return false end
  local later, targets = x:narrow(1, shift, length), y:narrow(1, 0, length)
  local counts = targets:ne(IGNORED)
  return counts:any():item() and not later:ne(targets):logical_and(counts):any():item()
end

-- The smallest shift from `first` on that fits; nil when none does.
local function find_shift(x, y, first)
  for shift = first, MOST_SHIFT do
    if is_shifted(x, y, shift) then return shift end
  end
  return nil
end

---The shift of the targets, and what is wrong with it.
---@param x Tensor (B, T)
---@param y Tensor (B, T)
---@param declared integer? nil where the data says nothing of it
---@return integer? shift nil where the targets are not shifted inputs
---@return string? problem
function causality.shift(x, y, declared)
  if declared and is_shifted(x, y, declared) then return declared, nil end
  local found = find_shift(x, y, declared and 0 or 1)
  if not declared and (not found or found == 1) then return found, nil end
  local text = found and ('the inputs shifted by %d'):format(found) or 'no shift of the inputs'
  return nil, ('targets are %s, expected a shift by %d; were they shifted twice, in the data and in the model or its '
    .. 'loss? to accept: %s'):format(text, declared or 1,
    found and ('data.shift=%d'):format(found) or 'guards.leak=off')
end

-- x with other tokens behind position cuts[row] of each row.
local function changed_behind(x, cuts, vocabulary)
  local changed = x:clone()
  for row, cut in ipairs(cuts) do
    local rest = changed:select(0, row - 1):narrow(0, cut + 1, x:size(1) - cut - 1)
    rest:copy_(rest:add(1):remainder(vocabulary))
  end
  return changed
end

-- Logits (B, T, V) of a model; nil where it gives none, such as one with more inputs that a loss of its own calls.
local function logits_of(model, x)
  local ok, logits = pcall(function() return (model(x)) end)
  if not ok or not torch.is_tensor(logits) then return nil end
  return logits:dim() == 3 and logits:size(0) == x:size(0) and logits:size(1) == x:size(1) and logits:double() or nil
end

---How far logits move that must not, as a share of the largest one. nil where the model gives no logits of sequences.
---@param model Module
---@param x Tensor (B, T) ids
---@param vocabulary integer
---@return number? share
---@return integer? position up to which logits should have stayed
function causality.leak(model, x, vocabulary)
  local middle, last = math.floor(x:size(1) / 2) - 1, x:size(1) - 2
  local cuts = { middle, last }
  if x:size(0) == 1 then cuts = { middle } end
  local plain, other = logits_of(model, x), logits_of(model, changed_behind(x, cuts, vocabulary))
  if not plain or not other then return nil end
  local largest, worst, where = plain:abs():max():item(), 0, nil
  for row, cut in ipairs(cuts) do
    local function upto(logits) return logits:select(0, row - 1):narrow(0, 0, cut + 1) end
    local moved = (upto(plain) - upto(other)):abs():max():item()
    if moved > worst then worst, where = moved, cut end
  end
  return largest > 0 and worst / largest or 0, where
end

-- f() without gradients, without a draw from anybody's random numbers, with the model in eval mode.
local function undisturbed(model, f)
  local modes, random_before = model:modes(), lua_random.get()
  model:eval()
  local ok, problem = pcall(torch.fork_rng, torch.no_grad, f)
  model:set_modes(modes)
  if random_before then lua_random.set(random_before) end
  if not ok then error(problem, 0) end
end

local function check_shift(x, y, declared, level)
  local shift, problem = causality.shift(x, y, declared)
  if problem and level == 'error' then fail.data('%s', guards.say('G45', '%s', problem)) end
  if problem then guard_events.fired('G45', level, problem) end
  return shift
end

local function check_model(model, x, data, level)
  local vocabulary = data.vocab_size or x:max():item() + 1
  if vocabulary < 2 then return end
  local device = model:parameters()[1]
  local share, position = causality.leak(model, device and x:to(device.device) or x, vocabulary)
  if not share or share ~= share or share <= TOLERANCE then return end -- NaN is for guard G23
  guard_events.fired('G45', level,
    ('changing the tokens after position %d changes the logits up to it by %.2g of their size, expected at most %g: '
    .. 'the model sees what it predicts; is the causal mask missing? to accept: model.causal=false in the config, '
    .. 'or guards.leak=off'):format(position, share, TOLERANCE), { value = share, limit = TOLERANCE })
end

---Checks data and model of a training.
---@param o table of train.fit
---@param declared { shift: integer?, causal: boolean? } what the config says of the data, and of the model
function causality.check(o, declared)
  local level = o.guards.leak
  if level == 'off' then return end
  local accepted = declared.causal == false
  if accepted then guard_events.switched_off('G45', 'model.causal=false') end
  undisturbed(o.model, function()
    local x, y = first_samples(o.data.train)
    if not x then return end
    local shift = check_shift(x, y, o.data.shift or declared.shift or o.data.usual_shift, level)
    -- A scope of its own for the model alone: batches made in Lua may keep what they make.
    if shift and shift > 0 and not accepted then torch.scope(check_model, o.model, x, o.data, level) end
  end)
end

return causality
