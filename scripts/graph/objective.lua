-- What GraphMER learns from: masked code and masked facts, told by two heads, and terms that keep relations apart.
--   loss = w_mlm CE(code) + w_mnm ramp CE(facts) + constraints
-- The heads see masked positions alone. A batch without masked tokens of one kind has no such term, and is counted.
local options = require 'options'
local torch = require 'torch'
local constraints = require 'graph.constraints'

local objective = {}

local IGNORED = -100
local SPEC = { w_mlm = { 'number', 1, min = 0 }, w_mnm = { 'number', 1, min = 0 }, ramp_steps = { 'int', 0, min = 0 },
  constraints = { 'boolean', true }, tau = { 'number', 0.07, min = 1e-3 },
  compat = { 'string', 'none', one_of = { 'none', 'con_clamp' } } }
for name, weight in pairs(constraints.WEIGHTS) do SPEC[name] = { 'number', weight, min = 0 } end

-- The targets of code, whose tokens have no relation, and those of facts.
local function targets_of(x, y)
  local fact, ignored = x:select(1, 1):gt(0), torch.full_like(y, IGNORED)
  return torch.where(fact, ignored, y), torch.where(fact, y, ignored)
end

local function count_of(targets) return targets:ne(IGNORED):sum():item() end

---An objective of its own counters. `loss` goes to train.fit, `callback` among its callbacks: that tells the updates,
---which the ramp needs, and keeps the counters over a resume.
---@param given { w_mlm: number?, w_mnm: number?, ramp_steps: integer?, constraints: boolean?, tau: number?,
---antisymmetry: number?, acyclicity: number?, contrast: number?, compat: string? }
---@return { loss: function, callback: table, counters: { empty_mlm: integer, empty_mnm: integer } }
function objective.new(given)
  local o = options.check('graph.objective', given or {}, SPEC)
  local updates, counters = 0, { empty_mlm = 0, empty_mnm = 0 }

  -- A head's mean loss over its masked tokens, or nil where there are none.
  local function head_loss(model, name, h, targets)
    local count, head = count_of(targets), model[name]
    if count == 0 then
      if model.training then counters['empty_' .. name] = counters['empty_' .. name] + 1 end
      return nil, 0
    end
    return torch.linear_cross_entropy(h, head.weight, head.bias, targets), count
  end

  local made = { counters = counters }
  function made.loss(model, x, y)
    local h = model(x)
    local code, facts = targets_of(x, y)
    local mlm, coded = head_loss(model, 'mlm', h, code)
    local mnm, told = head_loss(model, 'mnm', h, facts)
    local ramp = o.ramp_steps > 0 and math.min(1, (updates + 1) / o.ramp_steps) or 1
    local terms, total = {}, nil
    local function add(name, value, weight)
      if not value then return end
      terms[name] = value
      local own = value * weight
      total = total and total + own or own
    end
    add('mlm', mlm, o.w_mlm)
    add('mnm', mnm, o.w_mnm * ramp)
    if o.constraints and total then
      add('constraints', constraints.of(h, x:select(1, 1), o), 1)
    end
    return total or h:sum() * 0, coded + told, terms
  end
  made.callback = { name = 'graph_objective', every = 1,
    on_start = function() counters.empty_mlm, counters.empty_mnm = 0, 0 end, -- the first step is tried before
    on_step = function(_, record) updates = record.step end,
    save = function() return { updates = updates, counters = counters } end,
    restore = function(_, saved)
      updates = saved.updates
      for name, value in pairs(saved.counters) do counters[name] = value end
    end }
  return made
end

-- The masked tokens of a batch by what is asked about them: code, facts, and of those the ones that `tail` picks.
local function parts_of(x, y, tail)
  local code, facts = targets_of(x, y)
  local parts = { { 'mlm', 'mlm', code }, { 'mnm', 'mnm', facts } }
  if tail then parts[3] = { 'tails', 'mnm', torch.where(tail(x), facts, torch.full_like(y, IGNORED)) } end
  return parts
end

---Loss and hits of both heads on batches of data.masked, without gradients: for `mlm` and `mnm` {n, loss, correct,
---reciprocal (the sum of 1 / rank), top10}; with `tail`, which tells what tokens of x are of tails, `tails` too.
---@param model Module
---@param batches Batches
---@param tail? fun(x: Tensor): Tensor bool (B, T)
---@return table<string, table>
function objective.measure(model, batches, tail)
  local sums = {}
  for _, name in ipairs { 'mlm', 'mnm', tail and 'tails' or nil } do
    sums[name] = { n = 0, loss = 0, correct = 0, reciprocal = 0, top10 = 0 }
  end
  local training = model.training
  model:eval()
  torch.no_grad(function()
    for i = 0, batches:count() - 1 do
      torch.scope(function()
        local x, y = batches:get(i)
        local device = model.embed.weight.device
        x, y = x:to(device), y:to(device)
        local h = model(x)
        for _, part in ipairs(parts_of(x, y, tail)) do
          local own, flat = sums[part[1]], part[3]:flatten()
          local places = flat:ne(IGNORED):nonzero():flatten()
          if places:numel() > 0 then
            local gold = flat:index_select(0, places)
            local logits = model[part[2]](h:flatten(0, 1):index_select(0, places))
            local score = logits:gather(1, gold:unsqueeze(1))
            -- Of equal scores the mean rank; what is not a number has none, and so is never right.
            local ties = logits:eq(score):sum(1):to('float32') - 1
            local rank = logits:gt(score):sum(1):to('float32') + 1 + ties / 2
            rank = torch.where(ties:ge(0), rank, torch.full_like(rank, math.huge))
            own.n = own.n + places:numel()
            own.loss = own.loss + torch.cross_entropy_loss(logits, gold):item() * places:numel()
            own.correct = own.correct + rank:eq(1):sum():item()
            own.reciprocal = own.reciprocal + rank:reciprocal():sum():item()
            own.top10 = own.top10 + rank:le(10):sum():item()
          end
        end
      end)
    end
  end)
  if training then model:train() end
  return sums
end

return objective
