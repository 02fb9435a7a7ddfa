-- GraphMER's constraint terms, on the hidden states of tokens with a relation: that relations differ, that the halves
-- of a relation's tokens do, and that tokens of one relation are alike (Khosla et al. 2020).
local torch = require 'torch'

local constraints = {}

local FEW = 4      -- tokens, below which a relation has no halves
local CLAMP = 1e-6 -- published: the numerator of an anchor without positives

local function cosine(a, b)
  return (a * b):sum(-1) / (a:norm(2, -1) * b:norm(2, -1)):clamp_min(1e-8)
end

-- Mean over pairs of relations in the batch of the cosine of their mean states; nil for fewer than two.
local function apart(h, relations)
  local flat, states = relations:flatten(), h:flatten(0, 1)
  local means = {}
  for relation = 1, flat:max():item() do
    local own = flat:eq(relation)
    local count = own:sum():item()
    if count > 0 then means[#means + 1] = torch.mv(states:t(), own:to(states.dtype)) / count end
  end
  if #means < 2 then return nil end
  local sum, pairs_n = nil, 0
  for r = 1, #means do
    for s = r + 1, #means do
      local own = cosine(means[r], means[s])
      sum, pairs_n = sum and sum + own or own, pairs_n + 1
    end
  end
  return sum / pairs_n
end

-- Mean over samples and relations of four tokens or more of the cosine of the means of their halves; nil where there
-- are none.
local function halves(h, relations)
  local sum, count = nil, 0
  for relation = 1, relations:max():item() do
    local own = relations:eq(relation)
    local numbers, totals = own:cumsum(1), own:sum(1, true)
    local enough = totals:ge(FEW):flatten()
    local half = torch.div(totals, 2, { rounding_mode = 'floor' })
    local many = enough:sum():item()
    if many > 0 then
      local function mean_of(mask)
        local weights = mask:to(h.dtype)
        return torch.bmm(weights:unsqueeze(1), h):squeeze(1) / weights:sum(1, true):clamp_min(1)
      end
      local first = mean_of(own:logical_and(numbers:le(half)))
      local second = mean_of(own:logical_and(numbers:gt(half)))
      local own_sum = (cosine(first, second) * enough:to(h.dtype)):sum()
      sum, count = sum and sum + own_sum or own_sum, count + many
    end
  end
  return sum and sum / count
end

-- Mean over tokens with a positive of -(lse over positives - lse over all others) of cosines / tau; nil where no token
-- has one.
local function alike(h, relations, tau, clamp)
  local flat = relations:flatten()
  local places = flat:gt(0):nonzero():flatten()
  if places:numel() < 2 then return nil end
  local own = flat:index_select(0, places)
  local states = h:flatten(0, 1):index_select(0, places)
  local z = states / states:norm(2, -1, true):clamp_min(1e-8)
  local scores = torch.mm(z, z:t()) / tau
  local self = torch.eye(places:numel(), { dtype = 'bool', device = h.device })
  local positive = own:unsqueeze(1):eq(own:unsqueeze(0)):logical_and(self:logical_not())
  local lowest = -1e30
  local all = scores:masked_fill(self, lowest):logsumexp(1)
  local near = scores:masked_fill(positive:logical_not(), lowest):logsumexp(1)
  local has = positive:any(1)
  local count = has:sum():item()
  if clamp then
    local told = torch.where(has, near, torch.full_like(near, math.log(CLAMP)))
    return -(told - all):mean()
  end
  if count == 0 then return nil end
  return -(torch.where(has, near - all, torch.zeros_like(near))):sum() / count
end

---What the terms count, by default as published: antisymmetry and acyclicity, as they are called there, and contrast.
constraints.WEIGHTS = { antisymmetry = 0.2, acyclicity = 0.2, contrast = 1 }

---The weighted sum of the terms, each of which is 0 where it has nothing to compare; nil where all are. A weight that
---is not given is that of constraints.WEIGHTS.
---@param h Tensor (B, T, d)
---@param relations Tensor (B, T)
---@param o { tau: number, compat: string, antisymmetry: number?, acyclicity: number?, contrast: number? }
---@return Tensor?
function constraints.of(h, relations, o)
  if relations:max():item() == 0 then return nil end
  local total
  local function add(name, term, ...)
    local weight = o[name] or constraints.WEIGHTS[name]
    local value = weight ~= 0 and term(h, relations, ...)
    if value then total = total and total + value * weight or value * weight end
  end
  add('antisymmetry', apart)
  add('acyclicity', halves)
  add('contrast', alike, o.tau, o.compat == 'con_clamp')
  return total
end

constraints.parts = { apart = apart, halves = halves, alike = alike }

return constraints
