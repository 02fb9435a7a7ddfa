-- What a GraphMER gives for tokens made up here, in a few numbers: weights carry them, and a model that reads the
-- weights compares. Shapes alone do not tell 4 heads from 8, or an encoder whose relations are another's.
local torch = require 'torch'

local forward_check = {}

local TOKENS = 48
local NUMBERS = 8
local NEAR = 1e-3 -- relative distance: another machine's rounding comes to 1e-6, a model of other heads to 7e-3 or more

local function numbers_of(model)
  local vocab, relations = model.embed.weight:size(0), model.relation.weight:size(0)
  local tokens = math.min(TOKENS, model.positions.weight:size(0))
  local ids, related = {}, {}
  for i = 1, tokens do
    ids[i] = 1 + i * 7919 % (vocab - 1) -- not 0, which pads
    related[i] = relations > 1 and i > tokens / 2 and 1 + i % (relations - 1) or 0
  end
  local device, training = model.embed.weight.device, model.training
  model:eval()
  local values = torch.no_grad(function()
    return torch.scope(function()
      local h = model(torch.tensor({ { ids, related } }, { dtype = 'int64' }):to(device)):flatten():to('cpu', 'float32')
      local places = torch.arange(h:numel(), { dtype = 'float32' })
      local made = {}
      for k = 1, NUMBERS do
        made[k] = (h * (places * (0.37 * k)):cos()):sum():item() / math.sqrt(h:numel())
      end
      return made
    end)
  end)
  if training then model:train() end
  return values
end

---What the weights of a model give, as a text for Module:forward_check.
---@param model Module a models.graphmer
---@return string
function forward_check.of(model)
  local texts = {}
  for i, value in ipairs(numbers_of(model)) do texts[i] = ('%.6g'):format(value) end
  return table.concat(texts, ' ')
end

---How far what a model gives is from a text of forward_check.of, relative to that.
---@param model Module
---@param text string
---@return number
function forward_check.distance(model, text)
  local own, apart, size, count = numbers_of(model), 0, 0, 0
  for word in text:gmatch '%S+' do
    count = count + 1
    local value = tonumber(word) or 0 / 0
    apart, size = apart + ((own[count] or 0 / 0) - value) ^ 2, size + value ^ 2
  end
  return count == NUMBERS and math.sqrt(apart / size) or 0 / 0
end

---Whether a model gives what a text of forward_check.of tells.
---@param model Module
---@param text string
---@return boolean
function forward_check.fits(model, text) return forward_check.distance(model, text) < NEAR end

return forward_check
