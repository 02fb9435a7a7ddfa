-- Weights of GPT-2 as Hugging Face names and stores them: matrices of its attention and feed-forward layers lie turned
-- round, (in, out); buffers of the causal mask, and a head that is the embedding, are left out.
local fail = require 'fail'
local torch = require 'torch'

local gpt2_weights = {}

local LAYERS = { ln_1 = 'norm1', ln_2 = 'norm2', ['attn.c_attn'] = 'self_attn.in_proj', ['mlp.c_fc'] = 'linear1',
  ['attn.c_proj'] = 'self_attn.out_proj', ['mlp.c_proj'] = 'linear2' }
local OUTER = { ['wte.weight'] = 'embed.weight', ['wpe.weight'] = 'positions.weight', ['ln_f.weight'] = 'norm.weight',
  ['ln_f.bias'] = 'norm.bias', ['lm_head.weight'] = 'head.weight' }

-- Our name of a tensor, and whether it lies turned round; nil for a buffer, false for a name that GPT-2 does not have.
local function own_name(name)
  name = name:gsub('^transformer%.', '')
  if OUTER[name] then return OUTER[name], false end
  if name:find '^h%.%d+%.attn%.bias$' or name:find '^h%.%d+%.attn%.masked_bias$' then return nil end
  local block, layer, field = name:match '^h%.(%d+)%.(.+)%.(%a+)$'
  local to = block and LAYERS[layer]
  if not to then return false end
  local join = layer == 'attn.c_attn' and '_' or '.'
  return ('blocks.%s.%s%s%s'):format(block, to, join, field), field == 'weight' and not layer:find '^ln_'
end

---Tensors under the names of transformer_lm.
---@param tensors table<string, Tensor>
---@param path string of their file, for messages
---@return table<string, Tensor>
function gpt2_weights.renamed(tensors, path)
  local made = {}
  for name, tensor in pairs(tensors) do
    local own, turned = own_name(name)
    if own == false then
      fail.raise(5, "'%s': '%s' is not a tensor of GPT-2 (expected names such as h.0.attn.c_attn.weight)", path, name)
    end
    if own then made[own] = turned and tensor:t():contiguous() or tensor end
  end
  made['head.weight'] = made['head.weight'] or made['embed.weight']
  return made
end

---Reads a safetensors file of Hugging Face's names into a GPT-2, strictly.
---@param net Module of models.gpt2
---@param path string
function gpt2_weights.load(net, path)
  net:load_state_dict(gpt2_weights.renamed(torch.load(path), path))
end

return gpt2_weights
