-- What the native loop is told about its guards: the sections `guards` and `train` of a config, checked and as
-- options of the trainer.
local fail = require 'fail'
local guard_events = require 'guards.events'
local options = require 'options'
local registry = require 'guards.registry'

local loop_options = {}

local MEMORY = { limit_mb = { 'number', 0, min = 0 } }
local RATIO = { ratio = { 'number', 0, min = 0 } }

-- The updates in a row that guards.nonfinite lets be skipped.
local function skipped(text)
  if text == 'error' then return 0 end
  local count = tonumber(text:match '^skip:(%d+)$')
  if not count or count < 1 then
    fail.config("guards.nonfinite is '%s'; known: error, skip:N (up to N updates in a row)", text)
  end
  return count
end

-- Names of the parameters that a pattern of train.allow_dead matches.
local function dead_names(o)
  local names = {}
  for _, pattern in ipairs(o.options.allow_dead or {}) do
    local before = #names
    for _, parameter in ipairs(o.model:named_parameters()) do
      if type(pattern) == 'string' and parameter.name:match(pattern) then names[#names + 1] = parameter.name end
    end
    if #names == before then fail.config("train.allow_dead: no parameter matches '%s'", tostring(pattern)) end
  end
  return names
end

---Options of the trainer. Guards that are off are recorded.
---@param o table the parts of a train.fit
---@return table
function loop_options.native(o)
  local spike = options.check('train.fit guards.loss_spike', o.guards.loss_spike, RATIO).ratio
  local norm = options.check('train.fit guards.grad_norm', o.guards.grad_norm, RATIO).ratio
  local memory = options.check('train.fit guards.memory', o.guards.memory, MEMORY)
  local rollback = o.options.on_divergence == 'rollback'
  if rollback and o.checkpoint.off then
    fail.config("train.on_divergence='rollback' goes back to a checkpoint, and checkpoint.off=true makes none")
  end
  return { nonfinite_skip = skipped(o.guards.nonfinite), spike_ratio = spike, grad_norm_ratio = norm,
    rollback = rollback, rollback_factor = o.options.rollback_factor, rollback_tries = o.options.rollback_tries,
    levels = registry.levels(o.guards), memory_limit_mb = memory.limit_mb, allow_dead = dead_names(o),
    uniform_loss = o.data.learnable ~= false
      and (o.data.guess_nats or o.data.vocab_size and math.log(o.data.vocab_size)) or 0 }
end

---Records what is switched off by a number; levels that are off are recorded by guard_events.begin.
---@param o table the parts of a train.fit
function loop_options.record(o)
  local dead = o.options.allow_dead or {}
  if #dead > 0 then guard_events.switched_off('G30', ('train.allow_dead=[%s]'):format(table.concat(dead, ', '))) end
  if o.guards.loss_spike.ratio == 0 then guard_events.switched_off('G23', 'guards.loss_spike.ratio=0') end
end

return loop_options
