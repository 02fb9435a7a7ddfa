-- What callbacks get: one context for all, with a log of each one's own. Names of metrics have units (G29), and one
-- name is logged by one callback (G33).
local callbacks = require 'fit.callbacks'
local console = require 'console'
local guards = require 'guards.registry'
local columns = require 'runs.columns'
local native = require 'lanthorn'

local callback_context = {}

-- A log that remembers who logs what.
local function new_log(shared, callback, index)
  local run, owners = shared.run, shared.owners
  return function(fields)
    columns.check_names(fields)
    for _, metric in ipairs(columns.metrics(fields)) do
      local owner = owners[metric] or index
      if owner ~= index or columns.is_trainers(metric) then
        local other = owner ~= index and callbacks.label(shared.callbacks[owner], owner) or 'the trainer'
        guards.stop('G33', "the metric '%s' is logged by %s and by %s; one name has one meaning: log it under another",
          metric, other, callbacks.label(callback, index))
      end
      owners[metric] = index
    end
    run:log(fields)
  end
end

-- The run as callbacks see it: its log is theirs.
local function visible(run, log)
  return setmetatable({ log = function(_, fields) log(fields) end }, { __index = function(_, name)
    return function(_, ...) return run[name](run, ...) end
  end })
end

---The context of a training.
---@param o table of train.fit
---@param trainer table
---@param run table
---@param evaluates boolean whether there are evals
---@return table
function callback_context.new(o, trainer, run, evaluates)
  return {
    model = o.model, data = o.data, selection = o.selection, trainer = trainer, run = run, evaluates = evaluates,
    callbacks = o.callback_list, owners = {}, epochs = o.options.epochs, seed = o.options.seed,
    guards = o.guards, tscore_every = o.tscore.every, loss = o.loss, accumulate = o.options.accumulate,
    clip_norm = o.optim.clip_norm or 0, precision = o.options.precision,
    print = function(text)
      trainer:clear_progress()
      console.note(text)
    end,
    tick = function() trainer:tick() end,
    evaluate = function(batches) return trainer:evaluate(batches) end,
    generate = function(g)
      return native.train.generate(o.model, o.data.native, { prompt = g.prompt, length = g.length,
        temperature = g.temperature, top_k = g.top_k, top_p = g.top_p, seed = g.seed })
    end,
  }
end

---The context of one callback: that of the training, with its own log.
---@param shared table
---@param callback table
---@param index integer its place in the list
---@return table
function callback_context.of(shared, callback, index)
  local log = new_log(shared, callback, index)
  return setmetatable({ log = log, run = visible(shared.run, log) }, { __index = shared, __newindex = shared })
end

return callback_context
