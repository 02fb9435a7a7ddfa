-- The arms of experiments on forgetting: ways to train tasks one after the other, each compared with doing nothing.
--
--   local result = forgetting.run { data = text, seeds = { 1, 2, 3 }, modes = { 'naive', 'ewc', 'replay' },
--     build = function() return models.char_rnn { ... } end, optim = cfg.optim, options = cfg.compare }
--   forgetting.print(result)
local arms = require 'arms'
local continual = require 'research.continual'
local fail = require 'fail'
local nearest = require 'nearest'
local options = require 'options'
local plasticity = require 'research.plasticity'
local pretty = require 'pretty'
local statistics = require 'statistics'
local torch = require 'torch'
local train = require 'train'

local forgetting = {}

-- What modes take from the config: strengths of consolidation, replay and sleep, and the smaller learning rate.
forgetting.DEFAULTS = { ewc = 1000, ewc_scaled = 2, ewc_layer = 2, ewc_target = 1000, ewc_dr = 0.4, l2 = 0.01,
  fisher_batches = 100, fisher = 'batch', memory = 500, sleep_below = 0.3, slow = 0.3 }

local function ewc(form, strength)
  return function(o, data)
    return { data = data, callbacks = { { 'ewc', form = form, strength = o[strength], batches = o.fisher_batches,
      fisher = o.fisher } } }
  end
end

local function replay(kind)
  return function(o, data, seed)
    return { data = continual.replay(data, { memory = o.memory, kind = kind, seed = seed }) }
  end
end

local function sleep(o) return { 'sleep', below = o.sleep_below } end

-- mode -> function(options, data, seed) that gives what train.fit gets. `first_only`: later tasks are not trained, and
-- `mixed`: there are no phases.
local MODES = {
  naive = function(_, data) return { data = data } end,
  joint = function(_, data) return { data = data:with { interleaved = true }, mixed = true } end,
  frozen = function(_, data) return { data = data:with { phases = { 1 } }, first_only = true } end,
  slow = function(o, data) return { data = data, slower = o.slow } end,
  ewc = ewc('raw', 'ewc'), ewc_scaled = ewc('scaled', 'ewc_scaled'), ewc_layer = ewc('layer', 'ewc_layer'),
  ewc_target = ewc('target', 'ewc_target'), ewc_dr = ewc('dr', 'ewc_dr'), l2 = ewc('l2', 'l2'),
  replay = replay 'per_task', reservoir = replay 'reservoir',
  sleep = function(o, data) return { data = data, callbacks = { sleep(o) } } end,
  -- What was published as the whole: replay, consolidation and sleep together.
  full = function(o, data, seed)
    local parts = replay 'per_task'(o, data, seed)
    parts.callbacks = ewc('raw', 'ewc')(o, data).callbacks
    table.insert(parts.callbacks, sleep(o))
    return parts
  end,
}

-- An arm is a mode, or { label, mode, option = value ... }: a mode with other options, with T-Score (`tscore`), or with
-- as much time as the first arm: `cost` is that of one of its updates beside the first's, and its phases have so many
-- fewer batches. It is given, not measured as it runs, so that a resumed experiment is the same.
local function read_arm(given)
  if type(given) ~= 'table' then return { label = given, mode = given, changes = {} } end
  local changes = {}
  for key, value in pairs(given) do
    if type(key) == 'string' then changes[key] = value end
  end
  return { label = given[1], mode = given[2], changes = changes }
end

---Raises (exit 3) for an unknown mode: before the first training, not when its turn comes.
---@param modes any[]
function forgetting.check_modes(modes)
  for _, given in ipairs(modes) do
    local name = read_arm(given).mode
    if not MODES[name] then
      fail.config("there is no mode '%s'%s", tostring(name), nearest.hint(tostring(name), pretty.sorted_keys(MODES)))
    end
  end
end

-- The rows after each phase. A model that was trained on one task only stays what it was. nil for one that was cut
-- short, and for tasks that took turns.
local function matrix_of(all, parts, tasks)
  if not all or parts.mixed then return nil end
  local rows = {}
  for i = 1, tasks do rows[i] = all[parts.first_only and 2 or i + 1] end
  return #rows == tasks and rows or nil
end

-- The numbers of one training.
local function numbers_of(fit, parts, data)
  local last = fit.domains and fit.domains[#fit.domains]
  local numbers = { wall_s = fit.seconds, updates = fit.steps, sleeps = fit.sleep and fit.sleep.sleeps,
    step_ms = fit.step_median_s and 1e3 * fit.step_median_s }
  local anchor = fit.ewc and fit.ewc.anchors[1]
  numbers.axis = anchor and anchor.strength * anchor.fisher_largest
  if not last or #fit.domains < 2 then return numbers, {} end -- cut short
  local accuracy = fit.domain_metrics.accuracy
  if parts.mixed then
    numbers.final_mean, numbers.last_task = statistics.mean(last), last[#last]
    numbers.accuracy = accuracy and statistics.mean(accuracy[#accuracy])
    return numbers, {}
  end
  local tasks = #data.names
  local matrix = matrix_of(fit.domains, parts, tasks)
  if not matrix then return numbers, {} end
  local m = plasticity.measures(matrix, data.names)
  numbers.final_mean, numbers.forgetting, numbers.new_task = m.final_mean, -(m.backward_transfer or 0), m.new_task
  numbers.last_task = last[#last]
  local told = { { 'val loss', matrix, fit.domains[1] } }
  local on_train = matrix_of(fit.domains_train, parts, tasks)
  if on_train then told[2] = { 'loss on the first train batches', on_train, fit.domains_train[1] } end
  local right = accuracy and matrix_of(accuracy, parts, tasks)
  if right then
    local a = plasticity.measures(right, data.names, 'higher')
    numbers.accuracy, numbers.accuracy_forgotten = a.final_mean, a.forgetting
    told[#told + 1] = { 'accuracy', right, accuracy[1], 'higher' }
  end
  return numbers, told
end

-- Each matrix of a training, with the row before it.
local function lines_of(told, names)
  local lines = {}
  for _, one in ipairs(told) do
    lines[#lines + 1] = one[1] .. ':'
    for _, line in ipairs(plasticity.lines(one[2], names, { untrained = one[3], better = one[4] })) do
      lines[#lines + 1] = line
    end
  end
  return #lines > 0 and lines or nil
end

local SPEC = { data = 'table', seeds = 'list', modes = 'list', build = 'function', optim = 'table',
  options = 'table', train = { 'table', {} }, tscore = { 'table', {} }, eval = 'table?',
  matrix = { 'list', { 'domain_matrix' } }, callbacks = { 'list', {} } }

-- How many batches of a pass there is time for.
local function batches_at(data, cost)
  local least = math.huge
  for d = 1, #data.names do least = math.min(least, data:train_of(d):count()) end
  return math.max(1, math.floor(least / cost))
end

---For each mode that has a cost (mode -> cost of an update beside the first mode's), an arm of equal time behind it.
---@param modes (string|table)[]
---@param costs table<string, number>
---@return (string|table)[]
function forgetting.with_equal_time(modes, costs)
  local all = {}
  for _, mode in ipairs(modes) do
    all[#all + 1] = mode
    if type(mode) == 'string' and costs[mode] then
      all[#all + 1] = { mode .. ', equal time', mode, cost = costs[mode] }
    end
  end
  return all
end

-- What an arm's mode gets, and what else its training does: T-Score, the cost of an update.
local function arm_settings(o, arm)
  local own = options.with(o.options, arm.changes)
  local tscore, cost = own.tscore or o.tscore, own.cost or 1
  own.tscore, own.cost = nil, nil
  if type(cost) ~= 'number' or cost <= 0 then
    fail.config("the cost of an update of '%s' must be a number above 0, got %s", arm.mode, pretty.inline(cost))
  end
  return { options = options.check('forgetting.run: ' .. arm.label, own, forgetting.spec()), tscore = tscore,
    cost = cost }
end

local function fit_arm(o, arm, settings, seed)
  local data = o.data:with_seed(seed)
  if settings.cost ~= 1 then data = data:with { batches = batches_at(data, settings.cost) } end
  local parts, callbacks = MODES[arm.mode](settings.options, data, seed), {}
  local optim = options.with(o.optim, parts.slower and { lr = o.optim.lr * parts.slower })
  for _, list in ipairs { o.matrix, o.callbacks, parts.callbacks or {} } do
    for _, callback in ipairs(list) do callbacks[#callbacks + 1] = callback end
  end
  torch.manual_seed(seed)
  local fit = train.fit { model = o.build(), data = parts.data, optim = optim, callbacks = callbacks,
    tscore = settings.tscore, options = options.with(o.train, { seed = seed, epochs = 1 }), eval = o.eval }
  local numbers, told = numbers_of(fit, parts, data)
  return numbers, lines_of(told or {}, data.names)
end

-- Rows of the matrix are of phases, columns of tasks: they must be the same.
local function check_data(data)
  local ok = #data.phases == #data.names
  for i, phase in ipairs(data.phases) do ok = ok and phase.domain == i end
  if not ok then
    fail.config('forgetting is measured on tasks that are trained one after the other, each once: interleaved=false, '
      .. 'and phases 1 to %d; for another order reorder the tasks', #data.names)
  end
end

---Trains every mode with every seed, and compares them with the first. `build()` makes the model, after the seed.
---@param given { data: table, seeds: integer[], modes: (string|table)[], build: (fun(): Module), optim: table,
---options: table, train: table?, tscore: table?, eval: table?, matrix: table?, callbacks: table? }
---@return table result of arms.run, with `matrices` of the last seed by mode
function forgetting.run(given)
  local o = options.check('forgetting.run', given, SPEC)
  o.options = options.check('forgetting.run options', o.options, forgetting.spec())
  forgetting.check_modes(o.modes)
  check_data(o.data)
  continual.check_epochs(o.train.epochs or 1, 'an experiment on forgetting')
  local list, matrices = {}, {}
  -- Arms differ in nothing but their cure: where one measures T-Score, all do.
  for _, mode in ipairs(o.modes) do
    local name = read_arm(mode).mode
    if name == 'sleep' or name == 'full' then o.tscore = { every = 1 } end
  end
  for i, mode in ipairs(o.modes) do
    local arm = read_arm(mode)
    local settings = arm_settings(o, arm) -- all are checked before the first training
    list[i] = { arm.label, function(seed)
      local numbers, lines = fit_arm(o, arm, settings, seed)
      matrices[arm.label] = lines or matrices[arm.label]
      return numbers
    end }
  end
  local result = arms.run { seeds = o.seeds, baseline = list[1][1], arms = list }
  result.matrices = matrices
  return result
end

---The options that modes take, as a spec.
---@return table
function forgetting.spec()
  local spec = {}
  for key, value in pairs(forgetting.DEFAULTS) do
    spec[key] = { 'number', value, min = 0 }
  end
  spec.fisher = { 'string', forgetting.DEFAULTS.fisher, one_of = { 'batch', 'sample' } }
  spec.fisher_batches = { 'int', forgetting.DEFAULTS.fisher_batches, min = 1 }
  spec.memory = { 'int', forgetting.DEFAULTS.memory, min = 0 }
  return spec
end

---Prints the matrix of each mode's last seed, one table of all measures, and what may be said.
---@param result table of forgetting.run
---@param what string? the measure, loss
function forgetting.print(result, what)
  for _, arm in ipairs(result.arms) do
    local lines = result.matrices[arm.name]
    if lines then
      print(('%s, seed %d: %s\n'):format(arm.name, result.seeds[#result.seeds], table.concat(lines, '\n')))
    end
  end
  local columns = { { 'final_mean', 'final mean' }, { 'new_task', 'new-task loss' },
    { 'forgetting', 'forgetting (-BWT)' }, { 'last_task', 'last task' } }
  if #arms.values(result.arms[1], 'accuracy') > 0 then
    columns[#columns + 1] = { 'accuracy', 'accuracy' }
    columns[#columns + 1] = { 'accuracy_forgotten', 'accuracy forgotten' }
  end
  columns[#columns + 1] = { 'sleeps', 'sleeps' }
  columns[#columns + 1] = { 'updates', 'updates' }
  columns[#columns + 1] = { 'wall_s', 'wall s' }
  arms.print(result, columns)
  for _, measure in ipairs { { 'forgetting', 'forgetting' }, { 'new_task', 'new-task loss (plasticity)' } } do
    arms.print_differences(result, measure[1], measure[2])
  end
  print('\n' .. arms.finding(result, 'final_mean', 'final mean ' .. (what or 'loss')))
  print(arms.finding(result, 'forgetting', 'forgetting'))
end

return forgetting
