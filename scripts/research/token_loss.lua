-- The mean cross entropy of a model's logits over all positions of all rows.
local torch = require 'torch'

---@param model Module
---@param x Tensor (B, T)
---@param y Tensor (B, T)
---@return Tensor
return function(model, x, y)
  local device = model:parameters()[1].device
  local logits = model(x:to(device)) -- (B, T, V)
  return torch.cross_entropy_loss(logits:reshape { -1, logits:size(-1) }, y:to(device):reshape { -1 })
end
