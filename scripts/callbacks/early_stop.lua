-- early_stop: ends the training when a metric has not improved for `patience` epochs.
local callbacks = require 'fit.callbacks'
local fail = require 'fail'

local ARGS = { metric = { 'string', 'val_loss', one_of = { 'val_loss', 'train_loss' } },
  patience = { 'int', 3, min = 1 }, min_delta = { 'number', 0 } }

return callbacks.define { name = 'early_stop', args = ARGS, build = function(o)
  local best, since = math.huge, 0
  return {
    save = function() return { best = best < math.huge and best or nil, since = since } end,
    restore = function(_, saved) best, since = saved.best or math.huge, saved.since end,
    on_start = function(ctx)
      if o.metric == 'val_loss' and not ctx.evaluates then
        fail.config 'callback early_stop: there is no val_loss; is eval off?'
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
      ctx.log { kind = 'event', event = 'early_stop', step = record.step, metric = o.metric, best = best,
        patience_n = o.patience }
      return 'stop', ('early_stop: %s has not improved on %.4f for %d epochs'):format(o.metric, best, o.patience)
    end,
  }
end }
