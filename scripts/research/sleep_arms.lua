-- Standard training against training with sleep, and against the parts of a sleep: arms that share initial weights,
-- data and number of updates.
local arms = require 'arms'
local fail = require 'fail'
local nearest = require 'nearest'
local options = require 'options'
local pretty = require 'pretty'
local torch = require 'torch'
local train = require 'train'

local sleep_arms = {}

local function changed(o, changes)
  local made = options.with(o, changes)
  made[1] = 'sleep'
  return made
end

-- As many different updates of a training as there were sleeps, drawn by the seed: a control for when it slept.
local function random_steps(count, updates, seed)
  local generator = torch.Generator()
  generator:manual_seed(seed)
  local order, steps = torch.randperm(updates, { generator = generator }), {}
  for i = 1, math.min(count, updates) do steps[i] = order[i - 1]:item() + 1 end
  return steps
end

local function nothing(o) return changed(o, { prune = 0, decay = 1, noise = 0 }) end

-- arm -> function(options of sleep, what the arm `sleep` of this seed did, seed) -> callback, or nil for none
local ARMS = {
  standard = function() return nil end,
  sleep = function(o) return changed(o, {}) end,
  ['v1.1'] = function(o) return changed(o, { compat = 'v1.1' }) end, -- no limits, and no update where it sleeps
  prune = function(o) return changed(o, { decay = 1, noise = 0 }) end,
  decay = function(o) return changed(o, { prune = 0, noise = 0 }) end,
  noise = function(o) return changed(o, { prune = 0, decay = 1 }) end,
  random = function(o, slept, seed)
    return changed(o, { steps = random_steps(slept.sleeps, slept.updates, seed) })
  end,
  -- Updates left out where T is low, and no sleep.
  skipped = function(o) return changed(nothing(o), { skip_update = true }) end,
}

---Trains the arms with every seed. `build()` makes the model, after the seed.
---@param given { data: table, seeds: integer[], arms: string[], sleep: table, build: (fun(): Module), optim: table,
---train: table, tscore: table, eval: table?, guards: table?, callbacks: (fun(): table)? }
---@return table result of arms.run
---@return table<string, table> fits of the first seed, by arm
function sleep_arms.run(given)
  local list, slept, fits, slept_before = {}, {}, {}, false
  for i, name in ipairs(given.arms) do
    if not ARMS[name] then
      fail.config("there is no arm '%s'%s", tostring(name), nearest.hint(tostring(name), pretty.sorted_keys(ARMS)))
    end
    slept_before = slept_before or name == 'sleep'
    if name == 'random' and not slept_before then
      fail.config "the arm 'random' sleeps as often as the arm 'sleep', which must stand before it"
    end
    list[i] = { name, function(seed)
      local callbacks = given.callbacks and given.callbacks() or {}
      local sleep = ARMS[name](given.sleep, slept[seed], seed)
      if sleep then table.insert(callbacks, 1, sleep) end
      torch.manual_seed(seed)
      local fit = train.fit { model = given.build(), data = given.data, optim = given.optim,
        options = options.with(given.train, { seed = seed }),
        tscore = given.tscore, eval = given.eval, guards = given.guards, callbacks = callbacks }
      if name == 'sleep' then slept[seed] = { sleeps = fit.sleep.sleeps, updates = fit.steps } end
      fits[name] = fits[name] or fit
      local last = fit.epochs[#fit.epochs] or {}
      return { train_loss = last.train_loss, val_loss = last.val_loss, t = last.tscore and last.tscore.mean,
        sleeps = fit.sleep and fit.sleep.sleeps, capped = fit.sleep and fit.sleep.capped,
        wall_s = fit.seconds }
    end }
  end
  return arms.run { seeds = given.seeds, baseline = given.arms[1], arms = list }, fits
end

---Prints the table, and what may be said.
---@param result table of sleep_arms.run
---@param metric string val_loss or train_loss
function sleep_arms.print(result, metric)
  local title = metric:gsub('_', ' ')
  arms.print(result, { { metric, title }, { 't', 'T, last epoch' }, { 'sleeps', 'sleeps' },
    { 'capped', 'not allowed' }, { 'wall_s', 'wall s' } })
  print('\n' .. arms.finding(result, metric, title))
end

return sleep_arms
