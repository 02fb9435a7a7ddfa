-- Evaluations at an equal budget.
local arms = require 'arms'
local equal_budget = require 'research.equal_budget'
local t = require 'testing'

-- What a callback finds in a training of `steps` updates, each of these milliseconds; `share` is the effective share
-- of an update.
local function train(callback, steps, step_ms, share)
  local evals, reports, at, logged = 0, 0, 0, {}
  local ctx = { log = function(line) logged[#logged + 1] = line end, evaluate = function()
    evals = evals + 1
    return { loss = 10 - at }
  end, model = { parameter_count = function() return 100 end }, selection = { report = function()
    reports = reports + 1
    return { steps = at, shared = 0, nodes = { { parameters = 100, count = at, effective = at * (share or 0) } } }
  end } }
  for step = 1, steps do
    at = step
    callback.on_step(ctx, { step = step, steps = steps, step_ms = step_ms })
  end
  local fit = {}
  callback.on_end(ctx, fit)
  return fit.at_budget, evals, reports, logged
end

t.test('a share of more than all updates, or of none, is refused', function()
  for _, share in ipairs { 2, 0, -0.5 } do
    local ok, message = pcall(equal_budget.callback, 'seconds', { share = share })
    t.equal(ok, false)
    t.contains(message, 'share is ' .. share .. ', expected more than 0 and at most 1')
  end
end)

t.test('the first training sets the time, and a slower one is evaluated at the update that spent as much', function()
  local first, evals, _, logged = train(equal_budget.callback('seconds', { share = 0.8 }), 10, 500)
  t.equal(first, { spent = 4, step = 8, loss = 2 })
  t.equal(evals, 1)
  t.equal(logged, { { kind = 'event', event = 'at_budget', step = 8, val_loss = 2, spent_s = 4 } })
  local slower = train(equal_budget.callback('seconds', { limit = first.spent }), 10, 1000)
  t.equal(slower, { spent = 4, step = 4, loss = 6 })
  local faster, none = train(equal_budget.callback('seconds', { limit = first.spent }), 10, 250)
  t.equal(faster, nil)
  t.equal(none, 0)
end)

t.test('effective updates are read where the budget can be reached, and no update too late', function()
  local first, _, reports = train(equal_budget.callback('effective_updates', { share = 0.5 }), 80, 1, 0.125)
  t.equal(first, { spent = 5, step = 40, loss = -30 })
  t.equal(reports, 1)
  local all, _, few = train(equal_budget.callback('effective_updates', { limit = first.spent }), 80, 1, 1)
  t.equal(all, { spent = 5, step = 5, loss = 5 })
  t.is_true(few <= 3, few)
  local same, _, some = train(equal_budget.callback('effective_updates', { limit = first.spent }), 80, 1, 0.125)
  t.fields(same, { step = 40, spent = 5 })
  t.is_true(some < 40, some)
end)

t.test('a training that goes on keeps what it had spent', function()
  local before = equal_budget.callback('seconds', { limit = 4 })
  train(before, 3, 1000)
  local after = equal_budget.callback('seconds', { limit = 4 })
  after.restore(nil, before.save())
  t.equal(train(after, 3, 1000).step, 1)
end)

t.test('arms without a value are named with the reason', function()
  local result = arms.run { seeds = { 1, 2 }, arms = { { 'whole', function() return { loss = 1 } end },
    { 'fast', function(seed) return { loss = seed == 2 and 1 or nil } end }, { 'none', function() return {} end } } }
  t.equal(equal_budget.missing(result, 'loss', { none = 'moves shared parameters alone' }),
    "Not compared: 'fast' ended before spending "
    .. "the budget for 1 of 2 seeds; 'none' moves shared parameters alone.")
  result.arms = { result.arms[1] }
  t.equal(equal_budget.missing(result, 'loss', {}), nil)
end)
