-- The callbacks of one training: when each is called, and what a checkpoint keeps of them.
local callback_context = require 'fit.callback_context'
local callback_cost = require 'guards.callback_cost'
local callback_updates = require 'guards.callback_updates'
local callbacks = require 'fit.callbacks'
local fail = require 'fail'
local lua_random = require 'fit.lua_random'

local calls = {}
calls.__index = calls

---The callbacks of a training with the context of each.
---@param o table of train.fit
---@param trainer table
---@param run table
---@param evaluates boolean whether there are evals
---@return table
function calls.new(o, trainer, run, evaluates)
  local shared, contexts = callback_context.new(o, trainer, run, evaluates), {}
  for i, callback in ipairs(o.callback_list) do contexts[i] = callback_context.of(shared, callback, i) end
  return setmetatable({ o = o, trainer = trainer, run = run, list = o.callback_list, contexts = contexts }, calls)
end

---Has the trainer call them. Calls are timed (G38), and those that declare to update weights are looked at (G18).
function calls:attach()
  local o, trainer, run = self.o, self.trainer, self.run
  local budget = callback_cost.new(o.guards.overhead, run)
  for i, callback in ipairs(self.list) do
    local label, context = callbacks.label(callback, i), self.contexts[i]
    local function calling(name)
      local call = budget:timed(callback, label, function(record) return callback[name](context, record) end)
      local is_update = callback_updates.event(callback) == name
      return is_update and callback_updates.bracket(callback, label, o.model, run, call) or call
    end
    if callback.before_update then trainer:before_update(calling 'before_update') end
    if callback.on_step then trainer:on_step(callback.every or 1, calling 'on_step') end
    if callback.on_epoch then trainer:on_epoch(calling 'on_epoch') end
  end
end

---Calls one event of those that have it.
---@param name string such as 'on_start'
function calls:all(name, ...)
  for i, callback in ipairs(self.list) do
    if callback[name] then callback[name](self.contexts[i], ...) end
  end
end

---The same for a training that is over: silently, and of those alone that can be restored.
---@param name string
function calls:again(name, ...)
  for i, callback in ipairs(self.list) do
    self.contexts[i].print = function() end
    if callback.restore and callback[name] then callback[name](self.contexts[i], ...) end
  end
end

local function name_of(callback, index) return callback.name or 'callback ' .. index end

---What checkpoints keep of the Lua side.
---@return table
function calls:state()
  local kept = {}
  for i, callback in ipairs(self.list) do
    kept[i] = { name = name_of(callback, i), saved = callback.save and callback.save(self.contexts[i]) or nil }
  end
  return { callbacks = #kept > 0 and kept or nil, lua_random = lua_random.get() }
end

---Gives callbacks and Lua's random numbers back what a checkpoint keeps of them.
---@param state table of state()
function calls:restore(state)
  if state.lua_random then lua_random.set(state.lua_random) end
  for i, kept in ipairs(state.callbacks or {}) do
    local callback = self.list[i]
    local name = callback and name_of(callback, i)
    if name ~= kept.name then
      fail.raise(5, "resume: callback %d is '%s', the checkpoint has '%s'; the same callbacks must be given in the "
        .. "same order", i, tostring(name), kept.name)
    end
    if kept.saved and callback.restore then callback.restore(self.contexts[i], kept.saved) end
  end
end

return calls
