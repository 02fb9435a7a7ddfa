-- tscore: at each epoch's end, the mean T-Score of the first `batches` train batches in eval mode, as the published
-- experiments took it, and the noise scale over them. Undefined scores are skipped and counted. The values are in the
-- callback's `history`.
local callbacks = require 'fit.callbacks'

return callbacks.define { name = 'tscore', args = { batches = { 'int', 3, min = 1 } }, build = function(o)
  local callback = { history = {} }
  function callback.save()
    local history = {}
    for epoch, mean in pairs(callback.history) do history[tostring(epoch)] = mean end
    return { history = history }
  end
  function callback.restore(_, saved)
    for epoch, mean in pairs(saved.history or {}) do callback.history[tonumber(epoch)] = mean end
  end
  function callback.on_epoch(ctx, record)
    local sum, counted, undefined, trace, signal = 0, 0, 0, 0, 0
    for _, score in ipairs(ctx.trainer:probe_tscore(o.batches)) do
      if score.t then
        sum, counted = sum + score.t, counted + 1
        trace, signal = trace + (score.noise.trace or 0), signal + (score.noise.signal or 0)
      else
        undefined = undefined + 1
      end
    end
    local mean = counted > 0 and sum / counted or nil
    callback.history[record.epoch] = mean
    ctx.print(('  T of the first %d train batches: %s%s'):format(counted + undefined,
      mean and ('%.4f'):format(mean) or 'NA', undefined > 0 and (' (%d undefined)'):format(undefined) or ''))
    ctx.log { kind = 'event', event = 'tscore_probe', step = record.step, epoch = record.epoch, tscore = mean,
      batches_n = counted, undefined_n = undefined, noise_scale = signal > 0 and trace / signal or nil }
  end
  return callback
end }
