-- tscore_window: T over the last `window` updates at each epoch's end: mean, standard deviation (published as
-- "variance"), and the trend from the mean of its first half to that of its second, which counts beyond `dead_band`.
-- Undefined scores are left out. Events `tscore_window`; the statistics are in the callback's `history`.
local callbacks = require 'fit.callbacks'
local fail = require 'fail'
local statistics = require 'statistics'

local ARGS = { window = { 'int', 50, min = 4 }, dead_band = { 'number', 0.01, min = 0 } }

---Statistics of a window of values.
local function describe(values, dead_band)
  local n = #values
  if n < 2 then return { n = n } end
  local half = math.floor(n / 2)
  local first, second = { unpack(values, 1, half) }, { unpack(values, n - half + 1) }
  local change = statistics.mean(second) - statistics.mean(first)
  return { n = n, mean = statistics.mean(values), std = statistics.sd(values), change = change,
    trend = math.abs(change) <= dead_band and 'flat' or change > 0 and 'rising' or 'falling' }
end

return callbacks.define { name = 'tscore_window', args = ARGS, build = function(o)
  local callback, values = { every = 1, history = {} }, {}
  function callback.on_start(ctx)
    if ctx.tscore_every == 0 then fail.config "callback 'tscore_window' needs T-Score; set tscore.every=1" end
  end
  function callback.on_step(_, record)
    local t = record.tscore and record.tscore.t
    if not t then return end
    values[#values + 1] = t
    if #values > o.window then table.remove(values, 1) end
  end
  function callback.on_epoch(ctx, record)
    local s = describe(values, o.dead_band)
    callback.history[record.epoch] = s
    ctx.log { kind = 'event', event = 'tscore_window', step = record.step, epoch = record.epoch, tscore_mean = s.mean,
      tscore_std = s.std, tscore_change = s.change, trend = s.trend, updates_n = s.n }
    if s.mean then
      ctx.print(('  T of the last %d updates: %.4f +- %.4f, %s (%+.4f)'):format(s.n, s.mean, s.std, s.trend, s.change))
    end
  end
  function callback.save()
    local history = {}
    for epoch, s in pairs(callback.history) do history[tostring(epoch)] = s end
    return { values = values, history = history }
  end
  function callback.restore(_, saved)
    values = saved.values or {}
    for epoch, s in pairs(saved.history or {}) do callback.history[tonumber(epoch)] = s end
  end
  return callback
end }
