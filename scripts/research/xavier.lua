-- Xavier uniform initial values (Glorot and Bengio 2010): U(-b, b) with b = sqrt(6 / (rows + columns)).
local torch = require 'torch'

local xavier = {}

---Draws the values of matrices, in order.
---@param ... Tensor
function xavier.draw(...)
  local matrices = { ... }
  torch.no_grad(function()
    for _, weight in ipairs(matrices) do
      local bound = math.sqrt(6 / (weight:size(-1) + weight:size(-2)))
      weight:uniform_(-bound, bound)
    end
  end)
end

---Draws every parameter of two dimensions or more.
---@param net Module
function xavier.draw_all(net)
  for _, parameter in ipairs(net:named_parameters()) do
    if parameter.tensor:dim() > 1 then xavier.draw(parameter.tensor) end
  end
end

return xavier
