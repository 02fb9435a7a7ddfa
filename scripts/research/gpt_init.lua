-- Initial values of GPTs that are transformer_lm: names embed, positions, blocks.N, norm, head.
local fail = require 'fail'
local torch = require 'torch'

local gpt_init = {}

-- Normal with this deviation; drawn in the order of the parameters.
local DEVIATIONS = {
  -- Radford et al. 2019: what ends in the residual stream is smaller by the root of the number of such layers.
  gpt2 = function(name, depth)
    return (name:find 'out_proj%.weight$' or name:find 'linear2%.weight$') and 0.02 / math.sqrt(2 * depth) or 0.02
  end,
  -- HybridTrainer's published GPT-2: both embeddings N(0, 1), the head tied to one of them, and all other layers with
  -- the deviation of what its framework draws, uniform up to 1 / sqrt(inputs).
  n01 = function(name, _, _, inputs)
    return (name == 'embed.weight' or name == 'positions.weight') and 1 or 1 / math.sqrt(3 * inputs)
  end,
  -- RandyGPT v0.3.
  v03 = function(name, _, width)
    if name == 'positions.weight' then return 0.01 end
    if name == 'embed.weight' or name == 'head.weight' then return 0.02 end
    return math.sqrt(2 / width) / (name:find 'linear2%.weight$' and 2 or 1)
  end,
}

gpt_init.NAMES = { 'gpt2', 'n01', 'v03' }

---Draws all parameters of a net anew: matrices normal, biases 0, gains 1.
---@param net Module
---@param name string gpt2, n01 or v03
---@param depth integer blocks
---@param width integer of the residual stream
function gpt_init.draw(net, name, depth, width)
  local deviation = DEVIATIONS[name] or fail.config("gpt_init.draw: init must be gpt2, n01 or v03, got '%s'", name)
  torch.no_grad(function()
    for _, parameter in ipairs(net:named_parameters()) do
      local value = parameter.tensor
      if value:dim() > 1 then
        value:normal_(0, deviation(parameter.name, depth, width, value:size(-1)))
      elseif parameter.name:find 'bias$' then
        value:zero_()
      else
        value:fill_(1)
      end
    end
  end)
end

return gpt_init
