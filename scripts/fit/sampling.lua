-- `runner sample`: the run's script is started once more, and where the run trained its model draws text in place of
-- it. Trainings of the script before that one are loaded, as in a resumed run.
local console = require 'console'
local experiment = require 'experiment'
local fail = require 'fail'
local fit_run = require 'fit.run'
local host = require 'host'
local json = require 'json'
local pretty = require 'pretty'
local resume = require 'fit.resume'
local sample_prompt = require 'fit.sample_prompt'
local train_options = require 'options'

local sampling = {}

local fits = 0

-- The file with the weights that were asked for: those at the end, else of the newest checkpoint.
local function weights_of(path, name)
  local final = path .. '/model.safetensors'
  if not name and host.stat(final) then return final end
  local file = ('%s/checkpoints/%s/model.safetensors'):format(path, name or 'latest')
  if host.stat(file) then return file end
  local list = host.listdir(path .. '/checkpoints') or {}
  if #list == 0 then fail.raise(5, "run '%s' has no weights yet: neither model.safetensors nor a checkpoint", path) end
  return fail.raise(5, "run '%s' has no checkpoint '%s'; it has %s", path, name or 'latest', table.concat(list, ', '))
end

local function show(asked, prompts, texts, cost, words)
  local at = 0
  for _, prompt in ipairs(prompts) do
    for _ = 1, asked.n do
      at = at + 1
      if asked.json then
        console.write(json.encode { prompt = prompt, text = texts[at], seed = asked.seed + at - 1 } .. '\n')
      else
        if #texts > 1 then console.write(('--- %d of %d\n'):format(at, #texts)) end
        console.write(prompt .. texts[at] .. '\n')
      end
    end
  end
  console.note(('%d %s, %s %s in %.2f s, %s a second'):format(#texts, #texts == 1 and 'text' or 'texts',
    pretty.count(cost.tokens), words or 'tokens', cost.seconds,
    pretty.count(math.floor(cost.tokens / math.max(cost.seconds, 1e-9)))))
end

---At the training that is sampled: draws, shows, and leaves the script. At one before it: its folder.
---@param o table what train.fit was called with, read
---@param asked table prompts, n, draw (options of train.generate), from, json, seed
---@param now { values: table, data: table[], first_batch_sha256: string }
---@return string path of a training before the one that is sampled
function sampling.take(o, asked, now)
  fits = fits + 1
  local plan = resume.plan()
  local path = plan.runs[fits]
  if not path then fail.raise(5, "training %d of the script left no run; its text cannot be had", fits) end
  if fits < plan.fit then return path end
  if not (o.data.encode and o.data.native) then
    fail.config("run '%s' was not trained on a text (data.%s); there is nothing to draw", path, o.data.kind)
  end
  now.source_hash = fit_run.source_hash()
  resume.check(path, now)
  local file = weights_of(path, asked.from)
  o.model:load(file)
  if not asked.quiet then console.warn(('%-10s%s'):format('weights', file)) end
  local prompts = asked.prompts
  if #prompts == 0 then prompts = { sample_prompt.of(o.data, o.model, 'give --prompt') } end
  local texts, cost = require('train').generate(o.model, o.data,
    train_options.with(asked.draw, { prompts = prompts, n = asked.n, seed = asked.seed }))
  console.diverted, console.quiet = false, asked.quiet or false
  show(asked, prompts, texts, cost, o.data.token_word)
  return experiment.leave()
end

return sampling
