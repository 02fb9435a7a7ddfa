-- The parts of a train.fit: what the call gives, what the config of the script holds, and the defaults of the rest.
local callbacks = require 'fit.callbacks'
local data_set = require 'sources.data_set'
local fail = require 'fail'
local horizon = require 'fit.horizon'
local native = require 'lanthorn'
local options = require 'options'
local specs = require 'config.specs'

local parts = {}

local FIT = { model = 'Module', data = 'table', loss = 'function|string?', optim = { 'table', {} },
  tscore = { 'table', {} }, options = { 'table', {} }, select = 'table?', eval = 'table?', guards = 'table?',
  checkpoint = 'table?', watchdog = 'table?', callbacks = { 'list', {} }, run = { 'boolean', true } }

local CHECKPOINT_EVERY = { steps = { 'int', 0, min = 0 }, seconds = { 'number', 600, min = 0 },
  epochs = { 'int', 1, min = 0 } }

---Reads the parts of a fit, with the sections of the config where the call leaves them out.
---@param given table what train.fit was called with
---@param launch table of train.fit: what the start of the runner and the config mean
---@param who string what was called
---@return table
function parts.read(given, launch, who)
  local o, values = options.check(who, given, FIT), launch.values
  o.launch = launch
  if not launch.configured and o.options.seed then
    fail.config('train.fit: options.seed comes too late for the weights of the model; call torch.manual_seed(%s) '
      .. 'before making it, or declare train.seed in experiment.config', tostring(o.options.seed))
  end
  o.optim = options.check('train.fit optim', o.optim, specs.optim)
  o.tscore = options.check('train.fit tscore', o.tscore, specs.tscore)
  o.select = o.select and options.check('train.fit select', o.select, specs.select)
  local seed = o.options.seed
  o.options = options.check('train.fit options', o.options, specs.train)
  -- Without a seed of its own a training has that of the config, which drew the weights.
  if launch.configured and not seed and type(values.train) == 'table' then
    o.options.seed = values.train.seed or o.options.seed
  end
  o.eval = options.check('train.fit eval', o.eval or values.eval or {}, specs.eval)
  o.guards = options.check('train.fit guards', o.guards or values.guards or {}, specs.guards)
  o.checkpoint = options.check('train.fit checkpoint', o.checkpoint or values.checkpoint or {}, specs.checkpoint)
  o.checkpoint.every = options.check('train.fit checkpoint.every', o.checkpoint.every, CHECKPOINT_EVERY)
  o.watchdog = options.check('train.fit watchdog', o.watchdog or values.watchdog or {}, specs.watchdog)
  if type(o.loss) == 'string' then native.train.check_loss(o.loss) end
  if type(o.data.train) ~= 'userdata' then
    fail.config('train.fit: data must be what a function of the data module gives, such as data.text')
  end
  o.data = data_set.of(o.data)
  if launch.fast then
    o.options.epochs, o.options.max_steps, o.eval.val_cap = 1, launch.fast, launch.fast
    o.optim = horizon.for_few(o.optim, launch.fast)
  end
  o.callback_list = {}
  for i, callback in ipairs(o.callbacks) do o.callback_list[i] = callbacks.resolve(callback) end
  return o
end

---The config with the options that this training really has: a script may give others than its config holds.
---@param o table of parts.read
---@return table values
---@return table<string, string> origin by path
function parts.config(o)
  local values, origin = {}, {}
  for key, value in pairs(o.launch.values) do values[key] = value end
  for path, source in pairs(o.launch.origin) do origin[path] = source end
  for section, used in pairs { optim = o.optim, tscore = o.tscore, train = o.options, eval = o.eval, guards = o.guards,
    checkpoint = o.checkpoint, watchdog = o.watchdog, select = o.select } do
    local known, merged = type(values[section]) == 'table' and values[section] or {}, {}
    for key, value in pairs(known) do merged[key] = value end
    for key, value in pairs(used) do
      local path = section .. '.' .. key
      if type(value) ~= 'table' and known[key] ~= value then
        origin[path] = known[key] == nil and 'default' or 'script'
      end
      merged[key] = value
    end
    values[section] = merged
  end
  return values, origin
end

return parts
