-- early_stop: ends the training when a metric has not improved for `patience` epochs.
local callbacks = require 'fit.callbacks'
local patience = require 'fit.patience'

local ARGS = { metric = { 'string', 'val_loss', one_of = { 'val_loss', 'train_loss' } },
  patience = { 'int', 3, min = 1 }, min_delta = { 'number', 0 } }

return callbacks.define { name = 'early_stop', args = ARGS, build = function(o)
  local waited = patience.new('early_stop', o)
  return {
    save = function() return waited:save() end,
    restore = function(_, saved) waited:restore(saved) end,
    on_start = function(ctx) waited:check(ctx) end,
    on_epoch = function(ctx, record)
      if not waited:over(record) then return nil end
      ctx.log { kind = 'event', event = 'early_stop', step = record.step, metric = o.metric, best = waited.best,
        patience_n = o.patience }
      return 'stop', ('early_stop: %s has not improved on %.4f for %d epochs'):format(o.metric, waited.best, o.patience)
    end,
  }
end }
