-- Comparisons at an equal budget of time or of effective updates: a callback that evaluates once, at the update in
-- which a training has spent the budget. The first training of a seed sets it, after a share of its planned updates:
--
--   local first = equal_budget.callback('seconds', { share = 0.8 }) -- fit.at_budget = { spent =, step =, loss = }
--   local other = equal_budget.callback('seconds', { limit = fit.at_budget.spent })
local fail = require 'fail'
local options = require 'options'
local selection_report = require 'research.selection_report'

local equal_budget = {}

local GIVEN = { share = 'number?', limit = 'number?' }

local meters = {}
local UNITS = { seconds = 'spent_s', effective_updates = 'spent_n' }

function meters.seconds(state, _, record) state.spent = state.spent + record.step_ms / 1e3 end

-- A report passes over all weights, so one is made only where the budget can be reached: an update adds at most 1.
function meters.effective_updates(state, ctx, record, limit, at)
  if record.step < (at or state.due or 0) then return end
  local report = ctx.selection:report()
  local _, effective = selection_report.shares(report, ctx.model:parameter_count())
  state.spent = report.steps * effective
  state.due = record.step + math.max(1, math.ceil((limit or 0) - state.spent))
end

---The callback; it writes an event `at_budget`. `fit.at_budget` is nil where the training ended before, or neither
---`share` nor `limit` is given.
---@param meter string seconds (of training, evals left out) or effective_updates
---@param given { share: number?,
---limit: number? } share of the planned updates after which to look; or what is to be spent
---@return table
function equal_budget.callback(meter, given)
  local o, add = options.check('equal_budget', given, GIVEN), meters[meter]
  if o.share and not (o.share > 0 and o.share <= 1) then
    fail.config('equal_budget: share is %g, expected more than 0 and at most 1: the part of the planned updates after '
      .. 'which to look', o.share)
  end
  local state = { spent = 0 }
  local callback = { name = 'equal_budget', every = 1, over_budget = 'off' } -- its one eval is the purpose
  function callback.on_step(ctx, record)
    if state.loss then return end
    local at = o.share and math.max(1, math.ceil(o.share * record.steps))
    add(state, ctx, record, o.limit, at)
    if at and record.step >= at or o.limit and state.spent >= o.limit * (1 - 1e-9) then
      state.step, state.loss = record.step, ctx.evaluate().loss
      ctx.log { kind = 'event', event = 'at_budget', step = record.step, val_loss = state.loss,
        [UNITS[meter]] = state.spent }
    end
  end
  function callback.on_end(_, fit)
    if state.loss then fit.at_budget = { spent = state.spent, step = state.step, loss = state.loss } end
  end
  function callback.save() return state end
  function callback.restore(_, saved) state = saved end
  return callback
end

---One line on the arms that have no value of a metric in some seed.
---@param result table of arms.run
---@param metric string
---@param reasons table<string, string> why, by arm; those that are not named ended before they had spent the budget
---@return string? nil where every cell has a value
function equal_budget.missing(result, metric, reasons)
  local parts = {}
  for _, arm in ipairs(result.arms) do
    local missing = 0
    for _, cell in ipairs(arm.cells) do missing = missing + (cell[metric] and 0 or 1) end
    if missing > 0 then
      parts[#parts + 1] = ("'%s' %s"):format(arm.name, reasons[arm.name]
        or ('ended before spending the budget for %d of %d seeds'):format(missing, #arm.cells))
    end
  end
  return parts[1] and 'Not compared: ' .. table.concat(parts, '; ') .. '.'
end

return equal_budget
