-- Texts as vectors: the mean of an encoder's last hidden states over the tokens of each, without gradients.
local torch = require 'torch'

local BATCH = 64

---A row for each text, in order. Texts of about one length share a batch; padding is in no mean.
---@param model Module of models.graphmer
---@param texts integer[][] tokens of each, none empty
---@param most integer tokens of each that are read
---@param pad integer
---@return Tensor (texts, d)
return function(model, texts, most, pad)
  local order, place, parts, training = {}, {}, {}, model.training
  local function size(i) return math.min(#texts[i], most) end
  for i = 1, #texts do order[i] = i end
  table.sort(order, function(a, b) return size(a) < size(b) or size(a) == size(b) and a < b end)
  for at, i in ipairs(order) do place[i] = at - 1 end
  model:eval()
  torch.no_grad(function()
    for first = 1, #order, BATCH do
      local last = math.min(first + BATCH - 1, #order)
      parts[#parts + 1] = torch.scope(function()
        local rows, width = {}, size(order[last])
        for at = first, last do
          local row, own = {}, texts[order[at]]
          for t = 1, width do row[t] = t <= size(order[at]) and own[t] or pad end
          rows[#rows + 1] = row
        end
        local ids = torch.tensor(rows, { dtype = 'int64' })
        local kept = ids:ne(pad):to('float32'):unsqueeze(2)
        local h = model(torch.stack({ ids, torch.zeros_like(ids) }, 1))
        return (h * kept):sum(1) / kept:sum(1)
      end)
    end
  end)
  if training then model:train() end
  return torch.cat(parts, 0):index_select(0, torch.tensor(place, { dtype = 'int64' }))
end
