-- plateau: multiplies the learning rate by `factor` when a metric has not improved for `patience` evals, and ends the
-- training after so many times (`halvings`; 0: never).
local callbacks = require 'fit.callbacks'
local fail = require 'fail'
local patience = require 'fit.patience'

local ARGS = { metric = { 'string', 'val_loss', one_of = { 'val_loss', 'train_loss' } },
  patience = { 'int', 10, min = 1 }, factor = { 'number', 0.5 }, halvings = { 'int', 0, min = 0 },
  min_delta = { 'number', 0 } }

return callbacks.define { name = 'plateau', args = ARGS, build = function(o)
  if not (o.factor > 0 and o.factor < 1) then
    fail.config('callback plateau: factor must be between 0 and 1, got %g', o.factor)
  end
  local waited, times = patience.new('plateau', o), 0
  return {
    save = function()
      local saved = waited:save()
      saved.times = times
      return saved
    end,
    restore = function(_, saved)
      waited:restore(saved)
      times = saved.times
    end,
    on_start = function(ctx) waited:check(ctx) end,
    on_epoch = function(ctx, record)
      if not waited:over(record) then return nil end
      times = times + 1
      local reason = ('plateau: %s has not improved on %.4f for %d evals'):format(o.metric, waited.best, o.patience)
      if o.halvings > 0 and times > o.halvings then return 'stop', reason end
      local lr = ctx.trainer:tuning().optim.lr * o.factor
      ctx.trainer:tune { optim = { lr = lr } }
      ctx.log { kind = 'event', event = 'plateau', step = record.step, metric = o.metric, best = waited.best, lr = lr }
      ctx.print(('%s; the learning rate is now %g'):format(reason, lr))
      return nil
    end,
  }
end }
