-- 1_tensors: tensors. They behave as in PyTorch: dimensions and indices count from 0, ranges are without their end.
local torch = require 'torch'

torch.manual_seed(1)
local x = torch.arange(12):view(3, 4):float()
print(x)
print('shape', x.shape, 'type', x.dtype, 'row 1', x[1])
print('rows 1 and 2 of column 0', x[{ { 1, 3 }, 0 }])

x[{ {}, 3 }] = -1                                -- a whole column
x[x:gt(8)] = 0                                   -- where a mask is true
print(x)

local y = torch.randn { 4, 2 }
print('product', x:mm(y).shape)
print('mean over rows', x:mean { dim = 0, keepdim = true })  -- keywords stand in a last table
print('largest', x:max():item())                 -- item() makes a Lua number of one element

-- Lua tables count from 1, tensors from 0.
local list = { 10, 20, 30 }
local t = torch.tensor(list)
print('the same element', list[1], t[0]:item())

-- Tensors of a loop go when the collector sees them; a scope frees them at once.
local total = torch.scope(function()
  local sum = torch.zeros {}
  for _ = 1, 100 do sum = sum + torch.rand { 1000 }:mean() end
  return sum:item()
end)
print(('100 means add up to about 50: %.1f'):format(total))
