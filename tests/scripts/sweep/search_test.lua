-- The samplers and pruners that learn from results, against what Optuna reaches with the same budget on the same
-- functions (tests/golden/make_optuna_search.py): over 20 seeds of each, the rank-sum test of Mann and Whitney does not
-- find ours worse at the 1 % level.
local asha = require 'sweep.pruners.asha'
local draw = require 'sweep.planning.draw'
local json = require 'json'
local median = require 'sweep.pruners.median'
local patience = require 'sweep.pruners.patience'
local read_file = require 'base.read_file'
local t = require 'testing'
local tpe = require 'sweep.planning.tpe'

local TESTS = arg[0]:match '^(.*)/scripts/' or 'tests'
local GOLDEN = json.decode(assert(read_file(TESTS .. '/golden/optuna_search.json')))
local SEEDS = 20

local function number(path, lo, hi, kind) return { path = path, draw = kind or 'uniform', lo = lo, hi = hi } end

local FUNCTIONS = {
  sphere = { axes = { number('x', -5, 5), number('y', -5, 5) }, loss = function(x, y)
    return (x - 1.5) ^ 2 + (y + 2) ^ 2
  end },
  branin = { axes = { number('x', -5, 10), number('y', 0, 15) }, loss = function(x, y)
    local a = y - 5.1 / (4 * math.pi ^ 2) * x * x + 5 / math.pi * x - 6
    return a * a + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10
  end },
  mixed = { axes = { number('lr', 1e-5, 1, 'loguniform'), number('n', 1, 20, 'int'),
    { path = 'kind', draw = 'choice', choices = { 'a', 'b', 'c' } } }, loss = function(lr, n, kind)
    return (math.log10(lr) + 2.5) ^ 2 + (n - 6) ^ 2 / 10 + ({ a = 0.5, b = 0, c = 1 })[kind]
  end },
}

local function loss_of(f, values)
  local arguments = {}
  for i, text in ipairs(values) do arguments[i] = tonumber(text) or text end
  return f.loss(unpack(arguments))
end

local function search(f, seed)
  local trials, best = {}, math.huge
  for k = 0, GOLDEN.trials - 1 do
    local values = k < tpe.STARTUP and draw.trial('random', f.axes, k, seed)
      or tpe.propose(f.axes, trials, function(...) return draw.unit('tpe', seed, k, ...) end)
    local loss = loss_of(f, values)
    trials[#trials + 1], best = { values = values, loss = loss }, math.min(best, loss)
  end
  return best
end

-- One worker that goes on with a pruned trial as soon as it may, and begins a new one otherwise.
local function halve(f, seed)
  local o, all, pruned, spent, best = { min = 1, eta = 3 }, {}, {}, 0, math.huge
  local made = {}
  local function train(id)
    local one = made[id]
    pruned[id] = nil
    while one.epoch < GOLDEN.epochs do
      one.epoch, spent = one.epoch + 1, spent + 1
      all[id][one.epoch] = one.loss + 10 * math.exp(-one.rate * one.epoch)
      if one.epoch < GOLDEN.epochs and asha.prune(o, id, one.epoch, all) then
        pruned[id] = true
        return
      end
    end
    best = math.min(best, one.loss)
  end
  local function next_id()
    for id = 1, #made do
      if pruned[id] and asha.promote(o, id, all) then return id end
    end
    local k = #made
    made[k + 1] = { loss = loss_of(f, draw.trial('random', f.axes, k, seed)), epoch = 0,
      rate = 0.3 + 0.7 * draw.unit('rate', seed, k) }
    all[k + 1] = {}
    return k + 1
  end
  while spent < GOLDEN.budget do train(next_id()) end
  return best
end

local function quantile(sorted, q) return sorted[math.floor(q * (#sorted - 1) + 1.5)] end

-- Standard deviations by which the ranks of `ours` are above what chance gives.
local function rank_sum_z(ours, theirs)
  local higher = 0
  for _, own in ipairs(ours) do
    for _, other in ipairs(theirs) do higher = higher + (own > other and 1 or own == other and 0.5 or 0) end
  end
  local pairs_in_all = #ours * #theirs
  return (higher - pairs_in_all / 2) / math.sqrt(pairs_in_all * (#ours + #theirs + 1) / 12)
end

local Z_OF_1_PERCENT = 2.326 -- one-sided

local function compare(what, ours, theirs)
  table.sort(ours)
  local z = rank_sum_z(ours, theirs)
  local said = ('%s: median %.4g [%.4g, %.4g], Optuna %.4g [%.4g, %.4g], z %.2f'):format(what, quantile(ours, 0.5),
    quantile(ours, 0.25), quantile(ours, 0.75), quantile(theirs, 0.5), quantile(theirs, 0.25),
    quantile(theirs, 0.75), z)
  print(said)
  t.is_true(z < Z_OF_1_PERCENT, said)
end

for name, f in pairs(FUNCTIONS) do
  t.test(('TPE finds as low a value of %s as Optuna'):format(name), function()
    local ours = {}
    for seed = 1, SEEDS do ours[seed] = search(f, seed) end
    compare('TPE, ' .. name, ours, GOLDEN.tpe[name])
  end)
  t.test(('successive halving finds as low a value of %s as Optuna'):format(name), function()
    local ours = {}
    for seed = 1, SEEDS do ours[seed] = halve(f, seed) end
    compare('halving, ' .. name, ours, GOLDEN.halving[name])
  end)
end

t.test('TPE is better than chance', function()
  for name, f in pairs(FUNCTIONS) do
    local ours, chance = {}, {}
    for seed = 1, SEEDS do
      ours[seed], chance[seed] = search(f, seed), math.huge
      for k = 0, GOLDEN.trials - 1 do
        chance[seed] = math.min(chance[seed], loss_of(f, draw.trial('random', f.axes, k, seed)))
      end
    end
    table.sort(ours)
    table.sort(chance)
    t.is_true(quantile(ours, 0.5) < quantile(chance, 0.5),
      ('%s: %g, chance %g'):format(name, quantile(ours, 0.5), quantile(chance, 0.5)))
  end
end)

t.test('ASHA lets the best third of those that came go on, and the others once they are', function()
  local o, all = { min = 1, eta = 3 }, { a = { 3 }, b = { 2 } }
  t.matches(asha.prune(o, 'a', 1, all), 'asha: 2 of 2 at epoch 1, the best 0 go on')
  t.is_false(asha.promote(o, 'b', all))
  all.c = { 5 }
  t.is_true(asha.promote(o, 'b', all))
  t.is_false(asha.promote(o, 'a', all))
  t.equal(asha.prune(o, 'b', 2, { b = { 2, 1.9 } }), nil, 'no rung')
  all.b[3] = 1.5
  t.matches(asha.prune(o, 'b', 3, all), '1 of 1 at epoch 3')
end)

t.test('the median of those that came so far decides, and patience of the own past alone', function()
  local all = { a = { 1, 1 }, b = { 2, 2 }, c = { 3, 3 }, d = { 4, 2.5 } }
  local o = { warmup = 1, startup = 3 }
  t.equal(median.prune(o, 'd', 1, all), nil, 'warm-up')
  t.matches(median.prune(o, 'd', 2, all), 'median: 2.5 at epoch 2, the median of 3 others is 2')
  t.equal(median.prune(o, 'a', 2, all), nil)
  t.equal(median.prune({ warmup = 1, startup = 4 }, 'd', 2, all), nil, 'too few')
  local own = { a = { 3, 2, 2.5, 1.95, 2.1 } }
  t.equal(patience.prune({ epochs = 3, min_delta = 0 }, 'a', 5, own), nil)
  t.matches(patience.prune({ epochs = 3, min_delta = 0.1 }, 'a', 5, own), 'not below 2 for 3 epochs')
end)
