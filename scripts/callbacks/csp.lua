-- csp: the penalty of GodelAI's first agent ("compression, state, propagation"): weight * max(0, T_before - T)^gamma
-- of T = 1 / (1 + ||g|| / (sd(theta) + 1e-6)), which falls when the gradient grows beside the spread of the weights.
-- It has nothing to do with samples, nor with T-Score. Unlike the later one, which is a constant to the weights (see
-- `sleep`), it has a gradient: the product of the loss's second derivative with g, taken here by a difference of two
-- gradients: two forwards and backwards more in each update that it acts in. Events `csp`; what it did is in the fit's
-- `csp`.
local callbacks = require 'fit.callbacks'
local fail = require 'fail'
local native = require 'lanthorn'
local torch = require 'torch'

local ARGS = { weight = { 'number', 10, min = 0 }, gamma = { 'number', 2, min = 1 } }
local EPS = 1e-6
local STEP = 1e-3 -- of the difference, beside the norm of the weights

-- All parameters as one vector of float64.
local function flat(parameters, of)
  local parts = {}
  for i, parameter in ipairs(parameters) do
    local value = of(parameter)
    parts[i] = value and value:detach():to('float64'):flatten() or torch.zeros({ parameter:numel() },
      { dtype = 'float64' })
  end
  return torch.cat(parts)
end

local function grad_of(parameter) return parameter.grad end
local function value_of(parameter) return parameter end

-- Adds a vector to the gradients.
local function add_to_gradients(parameters, vector)
  local from = 0
  for _, parameter in ipairs(parameters) do
    local n = parameter:numel()
    if parameter.grad then
      parameter.grad:add_(vector:narrow(0, from, n):reshape(parameter.shape):to(parameter.grad.dtype))
    end
    from = from + n
  end
end

-- The gradients of the loss on the batches of this update at theta + step * direction; those that are there stay.
local function gradients_at(ctx, record, parameters, direction, step)
  local kept, grads, from = {}, {}, 0
  torch.no_grad(function()
    for i, parameter in ipairs(parameters) do
      kept[i], grads[i] = parameter:clone(), parameter.grad and parameter.grad:clone()
      local n = parameter:numel()
      parameter:add_((direction:narrow(0, from, n):reshape(parameter.shape) * step):to(parameter.dtype))
      from = from + n
    end
  end)
  ctx.model:zero_grad()
  for b = record.batch - record.micro_batches, record.batch - 1 do
    local x, y = ctx.data.train:get(b)
    x, y = x:to(parameters[1].device), y:to(parameters[1].device)
    local loss
    if type(ctx.loss) == 'function' then
      loss = ctx.loss(ctx.model, x, y)
    else
      loss = native.train.loss_of(ctx.loss or 'cross_entropy', (ctx.model(x)), y)
    end
    (loss / record.micro_batches):backward()
  end
  local there = flat(parameters, grad_of)
  ctx.model:zero_grad()
  torch.no_grad(function()
    for i, parameter in ipairs(parameters) do
      parameter:copy_(kept[i])
      if grads[i] then parameter.grad = grads[i] end
    end
  end)
  return there
end

---The penalty at these gradients, and what it adds to them; nil where T has not fallen.
local function penalty(ctx, record, o, before)
  local parameters = ctx.model:parameters()
  local g, theta = flat(parameters, grad_of), flat(parameters, value_of)
  local norm, sd = g:norm():item(), theta:std():item()
  if norm ~= norm or norm == math.huge then return nil end -- G23 says so
  local spread = sd + EPS
  local t = 1 / (1 + norm / spread)
  local fall = before - t
  if fall <= 0 or norm == 0 then return t end
  local direction, step = g / norm, STEP * (1 + theta:norm():item()) / math.sqrt(theta:numel())
  -- Both by the same calls: what else is in the gradients of the update is not of the loss.
  local here = gradients_at(ctx, record, parameters, direction, 0)
  local hessian = (gradients_at(ctx, record, parameters, direction, step) - here) / step
  local spread_slope = (theta - theta:mean():item()) / ((theta:numel() - 1) * sd)
  local slope = hessian / spread - spread_slope * (norm / spread ^ 2) -- of ||g|| / (sd + eps)
  add_to_gradients(parameters, slope * (o.weight * o.gamma * fall ^ (o.gamma - 1) * t ^ 2))
  return t, o.weight * fall ^ o.gamma
end

return callbacks.define { name = 'csp', args = ARGS, build = function(o)
  local before, sum, updates, acted, all = 1, 0, 0, 0, 0
  local callback, previous = { over_budget = 'off' }, 1 -- T before this update
  function callback.on_start(ctx)
    for _, other in ipairs(ctx.callbacks) do
      if other.name == 'ewc' then fail.config "callback 'csp': T is of the gradient of the loss; leave out 'ewc'" end
    end
    if ctx.clip_norm > 0 then
      fail.config "callback 'csp' adds to gradients behind clipping; leave out optim.clip_norm"
    end
    if ctx.precision ~= 'fp32' then
      fail.config("callback 'csp' takes a difference of two gradients, which train.precision=%s would drown",
        ctx.precision)
    end
  end
  function callback.before_update(ctx, record)
    if record.again then -- the gradients are new: the penalty is added to them once more, and counted once
      penalty(ctx, record, o, previous)
      return
    end
    previous = before
    local t, value = penalty(ctx, record, o, before)
    before, updates, all = t or before, updates + 1, all + 1
    if value then sum, acted = sum + value, acted + 1 end
  end
  function callback.on_epoch(ctx, record)
    ctx.log { kind = 'event', event = 'csp', step = record.step, csp_loss = updates > 0 and sum / updates or nil,
      with_gradient_pct = all > 0 and 100 * acted / all or nil }
    sum, updates = 0, 0
  end
  function callback.save() return { before = before, sum = sum, updates = updates, acted = acted, all = all } end
  function callback.restore(_, saved)
    before, sum, updates, acted, all = saved.before, saved.sum, saved.updates, saved.acted, saved.all
  end
  function callback.on_end(ctx, fit)
    fit.csp = { with_gradient_pct = all > 0 and 100 * acted / all or nil, t = before }
    ctx.print(('  csp: a penalty with a gradient in %d of %d updates'):format(acted, all))
  end
  return callback
end }
