-- projection: every so many updates, when the training is going to end, from the last 100 updates: an interval, as an
-- event, and as a line where the end has moved by more than `moved_pct` percent of the time that was left.
local callbacks = require 'fit.callbacks'
local clock = require 'projection.clock'
local host = require 'host'
local pretty = require 'pretty'
local report = require 'projection.report'
local resample = require 'projection.resample'
local timings = require 'projection.timings'
local waiting = require 'projection.waiting'

local WINDOW, LEAST = 100, 20 -- updates: at most those are looked at, and that many there must be
local WORTH_S = 5 -- an end that moved by less is not worth a line

local ARGS = { every = { 'int', 100, min = 1 }, moved_pct = { 'number', 10, min = 0 } }

-- Evals that are still to come: at the end of each epoch, and of the training.
local function evals_left(record, accumulate)
  local epoch = math.ceil(record.batches / accumulate)
  return math.ceil(record.steps / epoch) - math.floor((record.step - 1) / epoch)
end

return callbacks.define { name = 'projection', args = ARGS, build = function(o)
  local recent, seen, eval_s, saving_s, share_waiting, before = {}, 0, 0, 0, waiting.clock(), nil

  -- Seconds that are left.
  local function left(ctx, record)
    local values = {}
    for i, ms in ipairs(recent) do values[i] = ms / 1e3 end
    local updates = record.steps - record.step
    local beside = evals_left(record, ctx.accumulate) * eval_s + updates * saving_s / seen
    local total = resample.total(resample.draw(values, share_waiting()), updates, beside)
    share_waiting = waiting.clock()
    return { low_s = total.low, mid_s = total.mid, high_s = total.high }
  end

  local function tell(ctx, record, total, now)
    if not before then return end
    local moved_s = now + total.mid_s - before.ends
    local moved = 100 * moved_s / before.left_s
    if math.abs(moved) <= o.moved_pct or math.abs(moved_s) < WORTH_S then return end
    ctx.print(('projection  %s left: %s, ends %s; %.0f %% %s than after update %d'):format(
      pretty.plural(record.steps - record.step, 'update'), report.interval(total),
      clock.range(now + total.low_s, now + total.high_s, now), math.abs(moved), moved > 0 and 'later' or 'earlier',
      before.step))
  end

  return { on_step = function(ctx, record)
    recent[#recent + 1] = timings.update_ms(record)
    if #recent > WINDOW then table.remove(recent, 1) end
    seen = seen + 1
    local between = record.between_ms or {}
    if between.eval then eval_s = between.eval / 1e3 end
    saving_s = saving_s + (between.save or 0) / 1e3
    if record.step % o.every ~= 0 or seen < LEAST or record.step >= record.steps then return end
    local total, now = left(ctx, record), host.unix_time()
    ctx.log { kind = 'event', event = 'projection', step = record.step, left_low_s = total.low_s,
      left_mid_s = total.mid_s, left_high_s = total.high_s,
      ends = os.date('!%Y-%m-%dT%H:%M:%SZ', math.floor(now + total.mid_s)) }
    tell(ctx, record, total, now)
    before = { step = record.step, ends = now + total.mid_s, left_s = total.mid_s }
  end }
end }
