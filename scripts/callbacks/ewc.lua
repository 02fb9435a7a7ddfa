-- ewc: elastic weight consolidation over the phases of data.domains or data.tasks: after each phase but the last the
-- weights are held near where they are, by their importance for it. Options as of the engine (`form`, `strength` ...);
-- `batches` of the phase, at most, tell the importance. Events `ewc_anchor`; what it did is in the fit's `ewc`.
local callbacks = require 'fit.callbacks'
local continual = require 'research.continual'
local fail = require 'fail'
local specs = require 'config.specs'

local ARGS = specs.rows('ewc', { batches = { 'int', 100, min = 1 },
  fisher = { 'string', 'batch', one_of = { 'batch', 'sample' } } })

-- Options that one form alone reads.
local OF_FORM = { target = 'target', threshold = 'dr', release = 'dr', cap = 'dr', normalize = 'dr', relative = 'dr' }

local function check_form(o)
  for key, form in pairs(OF_FORM) do
    if o.form ~= form and o[key] ~= ARGS[key][2] then
      fail.config("callback 'ewc': %s is an option of form='%s', this is form='%s'", key, form, o.form)
    end
  end
end

return callbacks.define { name = 'ewc', args = ARGS, build = function(o)
  check_form(o)
  local callback = { every = 1, over_budget = 'off', anchors = {} } -- once a phase: no other interval would fit
  function callback.on_start(ctx)
    continual.check_phases(ctx.data, "callback 'ewc'")
    continual.check_epochs(ctx.epochs, "callback 'ewc'")
    local found = 0
    for _, other in ipairs(ctx.callbacks) do found = found + (other.name == 'ewc' and 1 or 0) end
    if found > 1 then fail.config "callback 'ewc' is given twice; a training has one" end
    if o.compat ~= 'none' then ctx.print(("  ewc: compat '%s', as published"):format(o.compat)) end
    ctx.trainer:ewc(specs.native_part('ewc', o))
  end
  function callback.on_step(ctx, record)
    local phases = ctx.data.phases
    local phase = continual.ended(phases, record)
    if not phase or phase == #phases then return end
    local first = phase > 1 and phases[phase - 1].end_batch or 0
    local batches = math.min(o.batches, phases[phase].end_batch - first)
    local anchor = ctx.trainer:consolidate(first, batches, { fisher = o.fisher })
    callback.anchors[#callback.anchors + 1] = anchor
    ctx.log { kind = 'event', event = 'ewc_anchor', step = record.step, phase_n = phase, form = o.form,
      fisher = o.fisher, fisher_largest = anchor.fisher_largest, fisher_sum = anchor.fisher_sum,
      dead_pct = anchor.dead_pct,
      strength = anchor.strength, batches_n = batches }
    ctx.print(('  ewc: anchor after phase %d; largest F %.3g, %.1f %% of the weights are not held'):format(phase,
      anchor.fisher_largest, anchor.dead_pct))
  end
  function callback.save() return { anchors = callback.anchors } end
  function callback.restore(_, saved) callback.anchors = saved.anchors or {} end
  function callback.on_end(ctx, fit)
    local counts = ctx.trainer:ewc_counts()
    local share = counts.updates > 0 and 100 * counts.with_gradient / counts.updates or nil
    fit.ewc = { anchors = callback.anchors, updates = counts.updates, with_gradient_pct = share,
      penalty = counts.penalty, distance = counts.distance }
    if counts.updates == 0 then return end
    ctx.log { kind = 'event', event = 'ewc_end', step = fit.steps, penalty_loss = counts.penalty,
      distance_norm = counts.distance, with_gradient_pct = share }
    ctx.print(('  ewc: penalty %.4g, distance from the newest anchor %.3g, a gradient in %.1f %% of %d updates')
      :format(counts.penalty, counts.distance, share, counts.updates))
  end
  return callback
end }
