-- Windows of a text as one batch, for measurements outside of a training.
local torch = require 'torch'

local windows = {}

---The windows of `seq` tokens that begin at these places, and their targets, one later.
---@param ids Tensor int64 (L)
---@param starts integer[] from 0
---@param seq integer
---@return Tensor x (N, seq), Tensor y (N, seq)
function windows.at(ids, starts, seq)
  local first = torch.tensor(starts, { dtype = 'int64' }):unsqueeze(1) + torch.arange(seq):unsqueeze(0)
  local function take(places) return ids:index_select(0, places:flatten()):reshape { #starts, seq } end
  return take(first), take(first + 1)
end

---Places of `count` windows that do not overlap, drawn at random.
---@param length integer tokens of the text
---@param count integer
---@param seq integer
---@param generator userdata torch.Generator
---@return integer[]
function windows.distant(length, count, seq, generator)
  local order, starts = torch.randperm(math.floor((length - 1) / seq), { generator = generator }), {}
  for i = 1, count do starts[i] = order[i - 1]:item() * seq end
  return starts
end

---Places of `count` windows, each one token behind the one before.
---@param length integer
---@param count integer
---@param seq integer
---@param generator userdata torch.Generator
---@return integer[]
function windows.shifted(length, count, seq, generator)
  local first = torch.randint(length - seq - count - 1, { 1 }, { generator = generator })[0]:item()
  local starts = {}
  for i = 1, count do starts[i] = first + i - 1 end
  return starts
end

return windows
