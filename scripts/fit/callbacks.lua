-- Callbacks of the trainer. A callback is a table with any of
--   name        for messages
--   every       call on_step after every so many updates
--   on_start    function(ctx)           before the first update
--   before_update  function(ctx, record)  the gradients of an update are there; 'skip' leaves it out
--   on_step     function(ctx, record)   'stop', reason ends the training
--   on_epoch    function(ctx, record)   'stop', reason ends the training
--   on_end      function(ctx, fit)      after the last update
--   metric      function(score)         what it acts on, of a T-Score; with
--   threshold   a number                that the metric must be able to reach (guard G34)
--   updates     true: on_step (or on_epoch) changes weights, at every call; with keys = { 'head', ... } those of these
--               names, and
--   may_idle    true where it may leave them as they are (guard G18)
--   budget_pct  share of the training time that it may take, 5 percent (guard G38)
--   over_budget 'error' stops above that share, 'off' is silent
--   save        function(ctx)           what a checkpoint keeps of it: a table of plain values
--   restore     function(ctx, saved)    after on_start of a resumed training
-- ctx has model, data, trainer, run, print(text), log(fields), generate(options), and tick(): a callback that takes
-- minutes calls it now and then, or the watchdog takes its silence for a stall.
local fail = require 'fail'
local nearest = require 'nearest'
local options = require 'options'
local room = require 'base.room'

local callbacks = {}

local TYPES = { name = 'string', every = 'number', on_start = 'function', before_update = 'function',
  on_step = 'function', on_epoch = 'function', on_end = 'function', save = 'function', restore = 'function',
  metric = 'function', threshold = 'number', updates = 'boolean', keys = 'table', may_idle = 'boolean',
  budget_pct = 'number', over_budget = 'string' }

local OVER_BUDGET = { 'error', 'off', 'warn' }

local function by_name(name)
  return room.load('callbacks', name)
    or fail.config("callback '%s' is not known%s", name, nearest.hint(name, room.names 'callbacks'))
end

---A constructor of callbacks, as files of scripts/callbacks return it.
---@param definition { name: string, args: table,
---build: fun(o: table): table } args: a spec of the options that build gets
---@return fun(given: table?): table
function callbacks.define(definition)
  return function(given)
    local callback = definition.build(options.check('callback ' .. definition.name, given, definition.args))
    callback.name = definition.name
    return callback
  end
end

---What messages call a callback.
---@param callback table
---@param index integer its place in the list
---@return string
function callbacks.label(callback, index)
  return callback.name and ("callback '%s'"):format(callback.name) or 'callback ' .. index
end

---Turns 'name', {'name', option = value} or a callback table into a callback.
---@param given string|table
---@return table
function callbacks.resolve(given)
  if type(given) == 'string' then return by_name(given) {} end
  if type(given) ~= 'table' then fail.config('a callback is a name or a table, got a %s', type(given)) end
  if type(given[1]) == 'string' then
    local rest = {}
    for key, value in pairs(given) do
      if key ~= 1 then rest[key] = value end
    end
    return by_name(given[1])(rest)
  end
  local names = {}
  for name in pairs(TYPES) do names[#names + 1] = name end
  for key in pairs(given) do
    if type(key) == 'string' and key:find('^on_') and not TYPES[key] then
      fail.config("callback '%s': there is no event '%s'%s", tostring(given.name or '?'), key, nearest.hint(key, names))
    end
  end
  for key, types in pairs(TYPES) do -- other fields are the callback's own state
    if given[key] ~= nil and type(given[key]) ~= types then
      fail.config("callback '%s': %s must be a %s, got a %s", tostring(given.name or '?'), key, types, type(given[key]))
    end
  end
  if given.updates and not given.on_step and not given.on_epoch then
    fail.config("callback '%s': updates = true needs an on_step or an on_epoch that makes them",
      tostring(given.name or '?'))
  end
  if given.over_budget and not table.concat(OVER_BUDGET, ' ')
    :find(('%%f[%%w]%s%%f[%%W]'):format(given.over_budget)) then
    fail.config("callback '%s': over_budget is '%s'%s", tostring(given.name or '?'), given.over_budget,
      nearest.hint(given.over_budget, OVER_BUDGET))
  end
  if given.threshold and not given.metric then
    fail.config("callback '%s': a threshold needs a metric, a function of a T-Score", tostring(given.name or '?'))
  end
  return given
end

return callbacks
