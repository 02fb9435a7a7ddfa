-- early_stop: ends the training when a metric has not improved for `patience` epochs.
local fail = require 'fail'
local options = require 'options'

return function(given)
  local o = options.check('callback early_stop', given, { metric = { 'string', 'val_loss', one_of = { 'val_loss', 'train_loss' } },
    patience = { 'int', 3 }, min_delta = { 'number', 0 } })
  if o.patience < 1 then fail.config('callback early_stop: patience must be at least 1, got %d', o.patience) end
  local best, since = math.huge, 0
  return {
    name = 'early_stop',
    save = function() return { best = best < math.huge and best or nil, since = since } end,
    restore = function(_, saved) best, since = saved.best or math.huge, saved.since end,
    on_start = function(ctx)
      if o.metric == 'val_loss' and not ctx.evaluates then fail.config 'callback early_stop: there is no val_loss; is eval off?' end
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
      ctx.log { kind = 'event', event = 'early_stop', step = record.step, metric = o.metric, best = best, patience_n = o.patience }
      return 'stop', ('early_stop: %s has not improved on %.4f for %d epochs'):format(o.metric, best, o.patience)
    end,
  }
end
