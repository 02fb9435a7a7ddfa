-- The published hardware profiles of GraphMER. Steps are micro-steps: forward and backward of `micro` samples, `accum`
-- of which make an update.
local options = require 'options'

local profiles = {}

---@class GraphmerProfile
---@field name string
---@field machine string
---@field steps integer micro-steps
---@field micro integer samples
---@field accum integer
---@field save integer micro-steps between checkpoints
---@field warmup integer? micro-steps
---@field ramp integer? micro-steps until facts count in full
---@field clip number?
---@field files integer? of code
---@field lr number?
---@field weight_decay number?
---@field w_mnm number?

---@type GraphmerProfile[]
profiles.list = {
  { name = 'gpu4', machine = 'GPU of 4 GB', steps = 1000, micro = 4, accum = 16, save = 200 },
  { name = 'gpu8', machine = 'GPU of 8 GB', steps = 3000, micro = 6, accum = 20, save = 250 },
  { name = 'gpu16', machine = 'GPU of 16 GB', steps = 5000, micro = 8, accum = 24, save = 500 },
  { name = 'rtx3050', machine = 'RTX 3050', steps = 2000, micro = 6, accum = 20, save = 200 },
  { name = 'rtx3070', machine = 'RTX 3070', steps = 4000, micro = 8, accum = 16, save = 250, warmup = 400, clip = 1,
    ramp = 1000, files = 150 },
  { name = 'm2', machine = 'Apple M2, fp32', steps = 3600, micro = 4, accum = 24, save = 300, warmup = 400, clip = 1,
    ramp = 900, files = 120, lr = 2.2e-4, weight_decay = 0.015, w_mnm = 0.8 },
}

profiles.names = {}
for i, profile in ipairs(profiles.list) do profiles.names[i] = profile.name end

---@param name string
---@return GraphmerProfile? nil: there is none of this name
function profiles.get(name)
  for _, profile in ipairs(profiles.list) do
    if profile.name == name then return profile end
  end
  return nil
end

---Micro-steps as updates: the last, smaller one counts too.
---@param profile GraphmerProfile
---@param steps integer
---@return integer
function profiles.updates(profile, steps) return math.ceil(steps / profile.accum) end

local D, LAYERS, PARAMETERS = 768, 12, 106659232 -- of the published model, with 12 relations
local KEPT = 15 -- times the width, what a layer keeps of a token for its backward: 7, and twice the inner 4

---Bytes that a training takes at least: weights, gradients and Adam's two moments; what a backward needs of the
---tokens of a micro-step.
---@param profile GraphmerProfile
---@param tokens integer of a sample
---@return number state, number kept
function profiles.bytes(profile, tokens)
  return 16 * PARAMETERS, 4 * KEPT * D * LAYERS * profile.micro * tokens
end

---Sections of an experiment's config as a profile wants them. What is counted in micro-steps there is counted in
---updates here. A value that the command line sets stays.
---@param cfg table
---@param profile GraphmerProfile
---@param is_set fun(path: string): boolean whether the command line sets it
---@return table
function profiles.apply(cfg, profile, is_set)
  local function updates(steps) return steps and profiles.updates(profile, steps) end
  local wanted = {
    graph = { files = profile.files },
    rows = { batch = profile.micro },
    objective = { w_mnm = profile.w_mnm, ramp_steps = updates(profile.ramp) },
    optim = { lr = profile.lr, weight_decay = profile.weight_decay, clip_norm = profile.clip,
      warmup = updates(profile.warmup) },
    train = { accumulate = profile.accum, max_steps = updates(profile.steps) },
  }
  local made = options.with(cfg, {})
  for section, values in pairs(wanted) do
    for name in pairs(values) do
      if is_set(section .. '.' .. name) then values[name] = nil end
    end
    made[section] = options.with(cfg[section], values)
  end
  if not is_set 'checkpoint.every.steps' then
    made.checkpoint = options.with(cfg.checkpoint, { every = options.with(cfg.checkpoint.every,
      { steps = updates(profile.save) }) })
  end
  return made
end

return profiles
