-- Does a callback that declares to update weights do so? (guard G18) In its table
--   updates = true           on_step, or on_epoch where there is no on_step, changes weights at every call
--   keys = { 'head', ... }   the parameters it means to touch: Lua patterns, as in optim.groups; all when left out
--   may_idle = true          a call that changes nothing, and a key that matches nothing, are accepted
-- Each call is bracketed by a copy of these parameters, and how far it moved them is an event: callback_update,
-- step_norm.
local callbacks = require 'fit.callbacks'
local guard_events = require 'guards.events'
local guards = require 'guards.registry'
local nearest = require 'nearest'

local callback_updates = {}

local MOST = 20 -- names in a message

local function names_text(names)
  if #names <= MOST then return table.concat(names, ', ') end
  return ('%s and %d more'):format(table.concat(names, ', ', 1, MOST), #names - MOST)
end

local function names_of(parameters)
  local names = {}
  for i, parameter in ipairs(parameters) do names[i] = parameter.name end
  return names
end

local function matches(parameter, key)
  return parameter.name == key or parameter.name:find(key) ~= nil
end

local function stop(label, keys, parameters, what)
  guards.stop('G18', '%s declares to update weights, but %s; keys that it means to touch: %s; parameters of the model: '
    .. '%s; to accept: may_idle = true in its table', label, what, keys and names_text(keys) or 'all',
    names_text(names_of(parameters)))
end

-- The first key without a parameter; nil when there is none.
local function unmatched(keys, parameters)
  for _, key in ipairs(keys or {}) do
    local found = false
    for _, parameter in ipairs(parameters) do found = found or matches(parameter, key) end
    if not found then return key end
  end
  return nil
end

-- The parameters that a callback means to touch.
local function touched(keys, parameters)
  if not keys then return parameters end
  local found = {}
  for _, parameter in ipairs(parameters) do
    for _, key in ipairs(keys) do
      if matches(parameter, key) then
        found[#found + 1] = parameter
        break
      end
    end
  end
  return found
end

---The event whose calls are bracketed; nil when the callback declares no updates.
---@param callback table
---@return string?
function callback_updates.event(callback)
  if not callback.updates then return nil end
  return callback.on_step and 'on_step' or callback.on_epoch and 'on_epoch' or nil
end

---Before the first update: stops (exit 6) for a key that matches no parameter. What is accepted beforehand is recorded.
---@param list table[] callbacks
---@param model Module
function callback_updates.check(list, model)
  for i, callback in ipairs(list) do
    local label = callbacks.label(callback, i)
    if callback.updates and callback.may_idle then
      guard_events.switched_off('G18', ('may_idle = true of %s'):format(label))
    elseif callback.updates then
      local parameters = model:named_parameters()
      local key = unmatched(callback.keys, parameters)
      if key then
        stop(label, callback.keys, parameters, ("its key '%s' matches no parameter%s"):format(key,
          nearest.hint(key, names_of(parameters))))
      end
    end
  end
end

---A call that is checked and logged, for a callback that declares updates.
---@param callback table
---@param label string what messages call it
---@param model Module
---@param run { log: function }
---@param call fun(record: table): ...
---@return fun(record: table): ...
function callback_updates.bracket(callback, label, model, run, call)
  return function(record)
    local parameters = model:named_parameters()
    local before, watched = {}, touched(callback.keys, parameters)
    for i, parameter in ipairs(watched) do before[i] = parameter.tensor:detach():clone() end
    local action, reason = call(record)
    local squares = 0 -- in float64, where the squares of the smallest steps are not 0
    for i, parameter in ipairs(watched) do
      squares = squares + (parameter.tensor:detach() - before[i]):double():norm():item() ^ 2
    end
    if squares == 0 and not callback.may_idle then
      stop(label, callback.keys, parameters, ('its call at update %d changed none of them'):format(record.step))
    end
    run:log { kind = 'event', event = 'callback_update', step = record.step, callback = callback.name,
      step_norm = math.sqrt(squares) }
    return action, reason
  end
end

return callback_updates
