-- Xavier uniform initial values (Glorot and Bengio 2010): U(-b, b) with b = sqrt(6 / (rows + columns)).
local torch = require 'torch'

---Draws the values of matrices, in order.
---@param ... Tensor
return function(...)
  local matrices = { ... }
  torch.no_grad(function()
    for _, weight in ipairs(matrices) do
      local bound = math.sqrt(6 / (weight:size(-1) + weight:size(-2)))
      weight:uniform_(-bound, bound)
    end
  end)
end
