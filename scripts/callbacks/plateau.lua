-- plateau: multiplies the learning rate by `factor` when a metric has not improved for `patience` evals, and ends the
-- training after so many times (`halvings`; 0: never).
local callbacks = require 'fit.callbacks'
local fail = require 'fail'

local ARGS = { metric = { 'string', 'val_loss', one_of = { 'val_loss', 'train_loss' } },
  patience = { 'int', 10, min = 1 }, factor = { 'number', 0.5 }, halvings = { 'int', 0, min = 0 },
  min_delta = { 'number', 0 } }

return callbacks.define { name = 'plateau', args = ARGS, build = function(o)
  if not (o.factor > 0 and o.factor < 1) then
    fail.config('callback plateau: factor must be between 0 and 1, got %g', o.factor)
  end
  local best, since, times = math.huge, 0, 0
  return {
    save = function() return { best = best < math.huge and best or nil, since = since, times = times } end,
    restore = function(_, saved) best, since, times = saved.best or math.huge, saved.since, saved.times end,
    on_start = function(ctx)
      if o.metric == 'val_loss' and not ctx.evaluates then
        fail.config 'callback plateau: there is no val_loss; is eval off?'
      end
    end,
    on_epoch = function(ctx, record)
      local value = record[o.metric]
      if value == nil or value ~= value then return nil end -- not measured: neither better nor worse
      if value < best - o.min_delta then
        best, since = value, 0
        return nil
      end
      since = since + 1
      if since < o.patience then return nil end
      since, times = 0, times + 1
      local reason = ('plateau: %s has not improved on %.4f for %d evals'):format(o.metric, best, o.patience)
      if o.halvings > 0 and times > o.halvings then return 'stop', reason end
      local lr = ctx.trainer:tuning().optim.lr * o.factor
      ctx.trainer:tune { optim = { lr = lr } }
      ctx.log { kind = 'event', event = 'plateau', step = record.step, metric = o.metric, best = best, lr = lr }
      ctx.print(('%s; the learning rate is now %g'):format(reason, lr))
      return nil
    end,
  }
end }
