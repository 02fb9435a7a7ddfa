-- Where a token of GraphMER stands: a learned row for each place, or those that start as sines, with rows for the
-- number of its leaf, its place in the leaf and its part.
local nn = require 'nn'
local torch = require 'torch'

local positions = {}

local CHAINS, DEPTHS, ROLES = 1000, 20, 4
local CHAIN_SHARE, DEPTH_SHARE, ROLE_SHARE = 0.5, 0.3, 0.2

-- A table whose rows are sines and cosines of their number (Vaswani et al. 2017), to be learnt from there.
local function draw_sines(weight, base)
  local rows, d = weight:size(0), weight:size(1)
  torch.no_grad(function()
    local rates = torch.exp(torch.arange(0, d, 2) * (-math.log(base) / d))
    local angles = torch.arange(rows):to('float32'):unsqueeze(1) * rates
    weight[{ {}, { 0, d, 2 } }]:copy_(torch.sin(angles))
    weight[{ {}, { 1, d, 2 } }]:copy_(torch.cos(angles):narrow(1, 0, math.floor(d / 2)))
  end)
end

---For each token the number of its leaf (0: the code), how far behind the leaf's beginning it stands, and its part: 0
---code, 1 the mark of a leaf, 2 a fact, 3 other marks.
---@param ids Tensor (B, T)
---@param relations Tensor (B, T)
---@param rel_token integer the id of the mark [REL]
---@return Tensor chain, Tensor depth, Tensor role
function positions.of(ids, relations, rel_token)
  local mark = ids:eq(rel_token):logical_and(relations:gt(0))
  local chain = mark:cumsum(1):clamp(0, CHAINS - 1)
  local place = torch.arange(ids:size(1), { dtype = 'int64', device = ids.device })
  local begin = torch.cummax(torch.where(mark, place, torch.zeros_like(ids)), 1)
  local depth = torch.where(chain:gt(0), place - begin, torch.zeros_like(ids)):clamp(0, DEPTHS - 1)
  local fact = relations:gt(0):to('int64') * 2
  local role = torch.where(mark, torch.ones_like(ids), fact)
  return chain, depth, torch.where(chain:gt(0):logical_and(relations:eq(0)), torch.full_like(ids, 3), role)
end

---Adds the layers to a net; the function that is given back adds what they say to embedded tokens.
---@param net Module
---@param kind string learned or graph
---@param length integer the most tokens of a row
---@param d integer
---@param rel_token integer
---@return fun(net: Module, x: Tensor, ids: Tensor, relations: Tensor): Tensor
function positions.add(net, kind, length, d, rel_token)
  net.positions = nn.PositionalEmbedding { length, d }
  if kind == 'learned' then return function(m, x) return m.positions(x) end end
  draw_sines(net.positions.weight, 10000)
  net.chain, net.depth, net.role = nn.Embedding { CHAINS, d }, nn.Embedding { DEPTHS, d }, nn.Embedding { ROLES, d }
  draw_sines(net.chain.weight, 5000)
  return function(m, x, ids, relations)
    local chain, depth, role = positions.of(ids, relations, rel_token)
    return m.positions(x) + m.chain(chain) * CHAIN_SHARE + m.depth(depth) * DEPTH_SHARE + m.role(role) * ROLE_SHARE
  end
end

return positions
