-- train.fit: trains a model, with everything a run needs around the native loop; train.start does it in parts.
local experiment = require 'experiment'
local fail = require 'fail'
local native = require 'lanthorn'
local nearest = require 'nearest'
local options = require 'options'
local training = require 'fit.training'
local vocabulary = require 'fit.vocabulary'

local train = {}

-- What this start of the runner and the script's config mean for a training. Nothing below asks for them again.
local function read_launch()
  local current = experiment.current()
  local flags, values = current.flags, current.values
  local function section(name) return type(values[name]) == 'table' and values[name] or {} end
  return { name = current.name, run_name = flags.name, tags = flags.tags, argv = current.argv,
    overrides = current.overrides, configured = current.configured, values = values, origin = current.origin,
    is_script = current.script ~= nil, started = current.script and flags.started, fast = flags.fast_dev_run,
    stop_after = flags.stop_after or 0, quiet = flags.quiet or false, gradcheck = flags.gradcheck,
    cell = flags.cell, estimate = flags.estimate, sample = flags.sample, project = flags.project,
    declared = { shift = section('data').shift, learnable = section('data').learnable,
      causal = section('model').causal } }
end

---Text drawn from a model after a prompt, which is not part of the result: characters, or words where data.domains
---has a vocabulary of them. Options: prompt, length (in tokens), temperature (0 takes the most likely token), top_k,
---top_p, seed; most (tokens of prompt and text together), cache=false (all before is read anew at each token). With
---`prompts`, or n texts for each, it gives a list of texts, and their tokens and the seconds they took.
---@param model Module
---@param text TextData|DomainData
---@param given { prompt: string?, prompts: string[]?, n: integer?, length: integer?, temperature: number?,
---top_k: integer?, top_p: number?, seed: integer?, most: integer?, cache: boolean? }
---@return string|string[] text
---@return { tokens: integer, seconds: number }? cost of a list
function train.generate(model, text, given)
  local is_data = type(text) == 'table'
  if is_data and text.vocab_sha256 then vocabulary.check(model, text, 'take the text of the training') end
  local source = is_data and text.native or text
  if not given.prompts and not given.n then return native.train.generate(model, source, given) end
  if given.prompts and given.prompt then fail.config "train.generate: give 'prompt' or 'prompts', not both" end
  local many = options.with(given, { prompts = given.prompts or { given.prompt } })
  many.prompt = nil
  local drawn = native.train.generate_texts(model, source, many)
  return drawn.texts, { tokens = drawn.tokens, seconds = drawn.seconds }
end

---Trains a model and leaves a run directory, or none with `run = false`. `loss` is a function (model, x, y), or the
---name of one: cross_entropy (the default), nll, mse, l1, huber, smooth_l1, bce_with_logits; `eval.metrics` names
---what an eval measures beside it. Under `runner resume` and with train.resume='auto' it goes on with an unfinished
---run.
---@param given { model: Module, data: table, loss: (function|string)?, optim: table?, tscore: table?, options: table?,
---callbacks: table?, run: boolean? }
---@return table fit epochs, best, tscore, steps, seconds, run (its folder)
function train.fit(given)
  local one = training.open(given, read_launch())
  return one.fit or one:complete()
end

---Begins a training that is steered by hand, at the prompt or in a script: it returns at once, and trains when it is
---asked to. Takes what train.fit takes.
---@param given { model: Module, data: table, loss: (function|string)?, optim: table?, tscore: table?, options: table?,
---callbacks: table?, run: boolean? }
---@return Fit fit fit:step(n), fit:epoch(), fit:run(), fit.lr = 1e-3, fit:eval(), fit:sample(text), fit:close() ...
function train.start(given)
  return require('live.fit').start(given, read_launch())
end

return setmetatable(train, { __index = function(_, name) nearest.missing('train', train, name) end })
