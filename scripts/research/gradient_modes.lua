-- What RandyGPT's hand-written backward passes leave out, as edits of the graph: every mode has the same loss at the
-- same weights, and ordinary autograd does the rest.
--
--   full           the gradient
--   last_position  of the loss of the last position alone
--   no_attention   nothing comes back through attention: x + stop(attention(x))
--   norm_identity  the Jacobian of a norm is taken for 1: x + stop(norm(x) - x)
--   published_v03  the three together; published_all the last two, with all positions
--   q_wo           norm_identity, and attention has a gradient for queries and its outer projection alone
--   kv_current     q_wo, and keys and values have one from the query of their own position
local torch = require 'torch'

local gradient_modes = {}

gradient_modes.NAMES = { 'full', 'last_position', 'no_attention', 'norm_identity', 'published_v03', 'published_all',
  'q_wo', 'kv_current' }

local EDITS = {
  no_attention = { no_attention = true },
  norm_identity = { norm_identity = true },
  published_v03 = { no_attention = true, norm_identity = true },
  published_all = { no_attention = true, norm_identity = true },
  q_wo = { keys = 'none', norm_identity = true },
  kv_current = { keys = 'current', norm_identity = true },
}

---Whether the loss of a mode is that of the last position alone.
---@param mode string
---@return boolean
function gradient_modes.last_position(mode) return mode == 'last_position' or mode == 'published_v03' end

---Parameters that get no gradient in a mode, as patterns for train.allow_dead.
---@param mode string
---@return string[]
function gradient_modes.dead(mode)
  local edits = EDITS[mode]
  return edits and edits.no_attention and { 'self_attn%.' } or {}
end

-- x / sqrt(mean(x^2) + eps)
local function norm(x, identity)
  local normed = torch.add_norm(x, nil, nil, nil, { rms = true, eps = 1e-5 })
  return identity and x + (normed - x):detach() or normed
end

-- Keys and values of the own position come back to their query; torch.attention would give them to all.
local function attend_current(q, k, v, heads)
  local B, T, d = q:size(0), q:size(1), q:size(2)
  local width = d / heads
  local function split(x) return x:view(B, T, heads, width):transpose(1, 2) end -- (B, heads, T, width)
  q, k, v = split(q), split(k), split(v)
  local fixed_k, fixed_v = k:detach(), v:detach()
  local own = (q * (k - fixed_k)):sum(-1) -- 0, with the gradient for the keys
  local scores = (torch.matmul(q, fixed_k:transpose(-2, -1)) + torch.diag_embed(own)) / math.sqrt(width)
  local above = torch.ones({ T, T }, { dtype = 'bool' }):triu(1)
  local weights = scores:masked_fill(above, -math.huge):softmax(-1)
  local mixed = torch.matmul(weights, fixed_v)
    + weights:diagonal(0, -2, -1):unsqueeze(-1) * (v - fixed_v) -- 0, with the gradient for the values
  return mixed:transpose(1, 2):reshape(B, T, d)
end

local function attend(qkv, heads, keys)
  if not keys then return torch.attention(qkv, heads, true) end
  local d = qkv:size(2) / 3
  local q, k, v = qkv:narrow(2, 0, d), qkv:narrow(2, d, d), qkv:narrow(2, 2 * d, d)
  if keys == 'current' then return attend_current(q, k, v, heads) end
  return torch.attention(torch.cat({ q, k:detach(), v:detach() }, 2), heads, true)
end

local function edited(block, heads, edits)
  local attention, first, second = block.self_attn, block.linear1, block.linear2
  return function(_, x)
    local qkv = torch.stacked_linear(norm(x, edits.norm_identity), attention.in_proj_weight)
    local mixed = torch.stacked_linear(attend(qkv, heads, edits.keys), attention.out_proj.weight)
    x = x + (edits.no_attention and mixed:detach() or mixed)
    local hidden = torch.stacked_linear(norm(x, edits.norm_identity), first.weight, nil, 'relu2')
    return x + torch.stacked_linear(hidden, second.weight)
  end
end

---Makes the blocks of a randygpt compute as a mode says. Dropout is left out in all but full and last_position.
---@param net Module
---@param mode string
---@param layers integer
---@param heads integer
function gradient_modes.apply(net, mode, layers, heads)
  local edits = EDITS[mode]
  if not edits then return end
  for i = 0, layers - 1 do
    local block = net.blocks[tostring(i)]
    block.forward = edited(block, heads, edits)
  end
end

return gradient_modes
