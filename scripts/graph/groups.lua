-- Which triples make one sample, before anything is cut to length.
local groups = {}

---@class TripleGroup
---@field head string of its first triple
---@field triples Triple[]

---Triples by head: heads in the order in which they first come, the triples of each in their order. A head with more
---than `most` makes further groups.
---@param triples Triple[]
---@param most integer
---@return TripleGroup[]
function groups.grouped(triples, most)
  local of_head, heads, made = {}, {}, {}
  for _, triple in ipairs(triples) do
    local list = of_head[triple.head]
    if not list then
      list = {}
      of_head[triple.head], heads[#heads + 1] = list, triple.head
    end
    list[#list + 1] = triple
  end
  for _, head in ipairs(heads) do
    local list = of_head[head]
    for first = 1, #list, most do
      made[#made + 1] = { head = head, triples = { unpack(list, first, math.min(first + most - 1, #list)) } }
    end
  end
  return made
end

---The first `limit` triples, `most` after one another in each group, whatever their heads. The last group may be
---smaller.
---@param triples Triple[]
---@param most integer
---@param limit integer
---@return TripleGroup[]
function groups.simple(triples, most, limit)
  local made, count = {}, math.min(limit, #triples)
  for first = 1, count, most do
    made[#made + 1] = { head = triples[first].head, triples = { unpack(triples, first,
      math.min(first + most - 1, count)) } }
  end
  return made
end

return groups
