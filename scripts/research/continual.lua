-- What helps a model to keep earlier texts while it learns the next (for data.domains with phases): elastic weight
-- consolidation (Kirkpatrick et al. 2017) and replay of earlier batches.
local fail = require 'fail'
local native = require 'lanthorn'
local options = require 'options'
local token_loss = require 'research.token_loss'
local torch = require 'torch'

local continual = {}

-- Mean squares of the gradients of the last batches, so many at most, of the phase from `begin` up to `last`. Each
-- gradient is the mean over a batch, so these are smaller than the diagonal of the empirical Fisher matrix, which
-- squares those of single samples; `strength` makes up for the scale.
local function fisher(model, train, begin, last, batches)
  local sums, first, modes = {}, math.max(begin, last - batches), model:modes()
  model:eval()
  for b = first, last - 1 do
    model:zero_grad()
    local x, y = train:get(b)
    token_loss(model, x, y):backward()
    for i, parameter in ipairs(model:named_parameters()) do
      local grad = parameter.tensor.grad
      local square = grad and grad * grad / (last - first)
      sums[i] = sums[i] and square and sums[i] + square or square or sums[i]
    end
  end
  model:zero_grad()
  model:set_modes(modes)
  return sums
end

---The last phase of data.domains that ended in this update, which may have several batches; nil for none.
---@param phases { end_batch: integer }[]
---@param record { batch: integer, micro_batches: integer } of on_step
---@return integer?
function continual.ended(phases, record)
  local found
  for phase, one in ipairs(phases) do
    if one.end_batch <= record.batch and one.end_batch > record.batch - record.micro_batches then found = phase end
  end
  return found
end

---Elastic weight consolidation: after each phase, parameters are held near where they are by strength / 2 F (p -
---p*)^2, F the mean squared gradient of `batches` batches of the phase, in place of the Fisher matrix's diagonal
---(squares for each sample). Its state is not part of checkpoints: train with checkpoint = { off = true }.
---@param given { strength: number, batches: integer? }
---@return { loss: function, callback: table } for train.fit
function continual.ewc(given)
  local o = options.check('continual.ewc', given, { strength = 'number', batches = { 'int', 8 } })
  if o.batches < 1 then
    fail.config('continual.ewc: batches is %d, expected at least 1: the importance of weights is taken from them',
      o.batches)
  end
  local tasks = {}
  local function loss(model, x, y)
    local task, penalty = token_loss(model, x, y), nil
    for _, anchor in ipairs(tasks) do
      for i, parameter in ipairs(model:named_parameters()) do
        if anchor.fisher[i] then
          local moved = parameter.tensor - anchor.values[i]
          local term = (anchor.fisher[i] * moved * moved):sum() * (o.strength / 2)
          penalty = penalty and penalty + term or term
        end
      end
    end
    if not penalty or not model.training then return task end -- evals are of the task
    return task + penalty, nil, { task = task, ewc = penalty }
  end
  local callback = { name = 'ewc', every = 1, on_step = function(ctx, record)
    local phase = continual.ended(ctx.data.phases, record)
    if not phase or phase == #ctx.data.phases then return end
    local values = {}
    for i, parameter in ipairs(ctx.model:named_parameters()) do values[i] = parameter.tensor:detach():clone() end
    local begin = phase > 1 and ctx.data.phases[phase - 1].end_batch or 0
    local squares = fisher(ctx.model, ctx.data.train, begin, ctx.data.phases[phase].end_batch, o.batches)
    torch.keep(values, squares) -- beyond the scope of this call
    tasks[#tasks + 1] = { values = values, fisher = squares }
  end }
  return { loss = loss, callback = callback }
end

---Replay: from the second phase on, half the rows of a batch come from batches of earlier phases, drawn anew each
---time. A batch counts for the domain of its phase.
---@param text table of data.domains
---@param seed integer
---@return table data for train.fit
function continual.replay(text, seed)
  local train, starts = text.train, { 0 }
  for i, phase in ipairs(text.phases) do starts[i + 1] = phase.end_batch end
  local function get(index, epoch)
    local x, y, domain = train:get(index, epoch)
    local begin = 0
    for _, start in ipairs(starts) do
      if start <= index then begin = start end
    end
    if begin == 0 then return x, y, domain end
    -- A function of seed, epoch and index: Knuth's multiplicative hash, twice.
    local draw = ((index * 2654435761 + seed * 40503 + epoch * 69069) % 4294967296 * 1597 + 51749) % 4294967296 % begin
    local half = math.floor(x:size(0) / 2)
    local old_x, old_y = train:get(draw)
    return torch.cat { x:narrow(0, 0, x:size(0) - half), old_x:narrow(0, 0, half) },
      torch.cat { y:narrow(0, 0, y:size(0) - half), old_y:narrow(0, 0, half) }, domain
  end
  local mixed = native.data.from_function(get,
    { count = train:count(), rows = train:rows(), targets = train:targets() })
  return setmetatable({ train = mixed }, { __index = text })
end

return continual
