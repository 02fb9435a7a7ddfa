-- How long a metric has not improved: what early_stop and plateau wait for.
local fail = require 'fail'

local patience = {}
local Patience = {}
Patience.__index = Patience

---@param name string of the callback, for messages
---@param options { metric: string, patience: integer, min_delta: number }
---@return table
function patience.new(name, options)
  return setmetatable({ name = name, options = options, best = math.huge, since = 0 }, Patience)
end

---To be called before the first update: a metric that is never measured is config.
---@param ctx table
function Patience:check(ctx)
  if self.options.metric == 'val_loss' and not ctx.evaluates then
    fail.config('callback %s: there is no val_loss; is eval off?', self.name)
  end
end

---Whether the metric has not improved for `patience` records; counting then begins anew. A value that was not measured
---is neither better nor worse.
---@param record table
---@return boolean
function Patience:over(record)
  local options = self.options
  local value = record[options.metric]
  if value == nil or value ~= value then return false end
  if value < self.best - options.min_delta then
    self.best, self.since = value, 0
    return false
  end
  self.since = self.since + 1
  if self.since < options.patience then return false end
  self.since = 0
  return true
end

---@return { best: number?, since: integer } for a checkpoint
function Patience:save() return { best = self.best < math.huge and self.best or nil, since = self.since } end

---@param saved { best: number?, since: integer }
function Patience:restore(saved) self.best, self.since = saved.best or math.huge, saved.since end

return patience
