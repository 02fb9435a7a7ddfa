-- What callbacks cost (guard G38). Every call is timed; over at least 50 updates, from the end of one call to the end
-- of another so that whole intervals count, a callback may take budget_pct (5) percent of the time that training
-- takes without callbacks. Above, it is told once, with the interval that would fit; what has cost less than a second
-- in all is not worth a word. guards.overhead is the level for all, `over_budget` in a callback's table its own.
local guard_events = require 'guards.events'
local host = require 'host'

local callback_cost = { STEPS = 50, PERCENT = 5, LEAST_S = 1 }

---Seconds; a field, so that a test can put another clock in its place.
callback_cost.clock = host.now

local Budget = {}
Budget.__index = Budget

---The budget of one training.
---@param level string of guards.overhead
---@param run table? where warnings are recorded
---@return table
function callback_cost.new(level, run)
  return setmetatable({ level = level, run = run, all = 0, windows = {} }, Budget)
end

-- What a callback cost since its window began; nil while that is too short to say, or too little while it is above
-- its budget.
local function share(budget, window, step, now, limit)
  local steps = step - window.step
  local training = now - window.at - (budget.all - window.all)
  if steps < callback_cost.STEPS or training <= 0 then return nil end
  local percent = 100 * window.spent / training
  if percent > limit and window.spent < callback_cost.LEAST_S then return nil end
  return { percent = percent, steps = steps, update_s = training / steps, call_s = window.spent / window.calls }
end

local function advice(callback, found, limit)
  local every = math.ceil(found.call_s / (limit / 100 * found.update_s))
  return callback.on_step and not callback.before_update and ('every = %d would fit'):format(every)
    or ('one call in %d updates would fit'):format(every)
end

function Budget:judge(callback, label, record, now)
  local window = self.windows[callback]
  local limit = callback.budget_pct or callback_cost.PERCENT
  local found = window and not window.told and share(self, window, record.step, now, limit)
  local over = found and found.percent > limit
  if over then
    local text = ('%s takes %.3g %% of the training time (%.3g ms a call, %.3g ms an update, over %d updates), '
      .. 'expected at most %g %%; %s; to accept: budget_pct = %d in its table, or guards.overhead=off'):format(label,
      found.percent, found.call_s * 1e3, found.update_s * 1e3, found.steps, limit, advice(callback, found, limit),
      math.ceil(found.percent))
    guard_events.fired('G38', callback.over_budget or self.level, text,
      { run = self.run, value = found.percent, limit = limit, step = record.step })
  end
  if not window or found or record.step < window.step then -- an older step: a rollback
    self.windows[callback] = { step = record.step, at = now, all = self.all, spent = 0, calls = 0,
      told = over or window and window.told }
  end
end

---A call that is timed.
---@param callback table
---@param label string what messages call it
---@param call fun(record: table): ...
---@return fun(record: table): ...
function Budget:timed(callback, label, call)
  if (callback.over_budget or self.level) == 'off' then return call end
  return function(record)
    local begin = callback_cost.clock()
    local action, reason = call(record)
    local now = callback_cost.clock()
    self.all = self.all + now - begin
    local window = self.windows[callback]
    if window then window.spent, window.calls = window.spent + now - begin, window.calls + 1 end
    self:judge(callback, label, record, now)
    return action, reason
  end
end

return callback_cost
