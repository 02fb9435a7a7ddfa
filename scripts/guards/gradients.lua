-- Are the gradients of a script's model right? In float64, on two samples of the first batch: what autograd says of a
-- few elements of each parameter beside the central difference (f(w + h) - f(w - h)) / 2h (guard G30). `runner doctor
-- --gradcheck SCRIPT` does it in place of the first train.fit.
local console = require 'console'
local guards = require 'guards.registry'
local native = require 'lanthorn'
local pretty = require 'pretty'
local torch = require 'torch'

local gradcheck = {}

local SAMPLES = 2
local STEP = 1e-5                       -- of a value of size 1; the error of a central difference is about its square
local ABSOLUTE, RELATIVE = 1e-7, 1e-4   -- what may differ

local function as_double(t)
  return t:is_floating_point() and t:to 'float64' or t
end

-- The loss of the script as a function without arguments.
local function loss_of(o)
  local x, y = o.data.train:get(0)
  local rows = math.min(SAMPLES, x:size(0))
  x, y = as_double(x:narrow(0, 0, rows)), as_double(y:narrow(0, 0, rows))
  return function()
    if type(o.loss) == 'function' then return (o.loss(o.model, x, y)) end
    return (native.train.loss_of(o.loss or 'cross_entropy', (o.model(x)), y))
  end
end

-- Elements to look at: where the gradient is largest, the first and the last.
local function chosen(gradient, count)
  local found, seen = {}, {}
  for _, index in ipairs { gradient and gradient:abs():argmax():item() or 0, 0, count - 1 } do
    if not seen[index] then found[#found + 1] = index end
    seen[index] = true
  end
  return found
end

local function difference(values, index, loss)
  local before = values[index]:item()
  local h = STEP * math.max(1, math.abs(before))
  local function at(value)
    return torch.no_grad(function()
      values[index] = value
      return loss():item()
    end)
  end
  local up, down = at(before + h), at(before - h)
  at(before)
  return (up - down) / (2 * h)
end

---Compares the gradients of each trainable parameter with differences.
---@param model Module
---@param loss fun(): Tensor
---@return { name: string, index: integer, gradient: number, difference: number, ok: boolean }[]
function gradcheck.compare(model, loss)
  model:zero_grad()
  loss():backward()
  local rows = {}
  for _, parameter in ipairs(model:named_parameters()) do
    local tensor = parameter.tensor
    if tensor.requires_grad then
      local gradient = tensor.grad and tensor.grad:reshape { -1 }
      local values = tensor:detach():view { -1 }
      for _, index in ipairs(chosen(gradient, values:size(0))) do
        local g, d = gradient and gradient[index]:item() or 0, difference(values, index, loss)
        local ok = math.abs(g - d) <= ABSOLUTE + RELATIVE * math.max(math.abs(g), math.abs(d))
        rows[#rows + 1] = { name = parameter.name, index = index, gradient = g, difference = d, ok = ok }
      end
    end
  end
  model:zero_grad()
  return rows
end

---Checks the parts of a train.fit and prints a line for each parameter. Raises (exit 6) when a gradient is wrong.
---@param o { model: Module, data: table, loss: (function|string)? }
function gradcheck.run(o)
  o.model:to 'float64'
  o.model:eval()
  local worst, names, wrong = {}, {}, {}
  for _, row in ipairs(gradcheck.compare(o.model, loss_of(o))) do
    if not worst[row.name] then names[#names + 1] = row.name end
    if not worst[row.name] or not row.ok and worst[row.name].ok then worst[row.name] = row end
  end
  for _, name in ipairs(names) do
    local row = worst[name]
    console.write(('%-4s  %-24s element %-8d gradient % .6e  difference % .6e\n'):format(row.ok and 'ok' or 'FAIL',
      name, row.index, row.gradient, row.difference))
    if not row.ok then wrong[#wrong + 1] = name end
  end
  if #wrong > 0 then
    guards.stop('G30', 'the gradient of %s differs from finite differences of the loss; is there a detach, an '
      .. 'operator without gradient or a backward of your own?', table.concat(wrong, ', '))
  end
  console.write(('the gradients of %s agree with finite differences\n'):format(pretty.plural(#names, 'parameter')))
end

return gradcheck
