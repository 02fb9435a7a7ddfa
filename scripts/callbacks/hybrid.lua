-- hybrid: some updates are predicted in place of computed (HybridTrainer): warm-up, full blocks, predicted blocks, and
-- corrections, which put the weights back where a block made the loss of a probe batch worse. Options as of the engine
-- (`arm`, `warmup_steps` ...). Every step's phase is in the metrics; what it did is in the fit's `hybrid`.
local callbacks = require 'fit.callbacks'
local console = require 'console'
local fail = require 'fail'
local specs = require 'config.specs'

local ARGS = specs.rows('hybrid', {})

return callbacks.define { name = 'hybrid', args = ARGS, build = function(o)
  local callback = {}
  function callback.on_start(ctx)
    local found = 0
    for _, other in ipairs(ctx.callbacks) do found = found + (other.name == 'hybrid' and 1 or 0) end
    if found > 1 then fail.config "callback 'hybrid' is given twice; a training has one" end
    if o.arm == 'noop' then ctx.print "  hybrid: arm 'noop', as published: what is predicted changes no weight" end
    if o.confidence < o.threshold then
      console.warn(('warning: hybrid: nothing will be predicted: the confidence is %g, only predicted blocks change '
        .. 'it, and threshold is %g'):format(o.confidence, o.threshold))
    end
    ctx.trainer:hybrid(specs.native_part('hybrid', o))
  end
  function callback.on_end(ctx, fit)
    local counts = ctx.trainer:hybrid_counts()
    local steps = counts.steps
    fit.hybrid = { arm = o.arm, blocks = counts.blocks, rejected = counts.rejected, restored = counts.restored,
      steps = steps, forecast = counts.forecast }
    ctx.log { kind = 'event', event = 'hybrid_end', step = fit.steps, arm = o.arm, blocks_n = counts.blocks,
      rejected_n = counts.rejected, restored_n = counts.restored }
    local words = '  hybrid: %d steps of warm-up, %d full, %d predicted, %d of correction; %d of %d blocks rejected'
    ctx.print(words:format(steps.warmup, steps.full, steps.predict, steps.correct, counts.rejected, counts.blocks))
    local told = counts.forecast
    if told and told.steps > 0 then
      ctx.print(('  hybrid: the loss forecast was off by %.4f, the loss before by %.4f, over %d steps'):format(
        told.mean_error, told.last_value_error, told.steps))
    end
  end
  return callback
end }
