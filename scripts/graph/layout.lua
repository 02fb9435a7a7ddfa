-- The tokens of one sample:
--
--   ids  [CLS] code [SEP]  [REL] relation tail [SEP]  [REL] relation tail [SEP] ...
--   rel    0     0    0      r       r      r    0      s       s      s    0
--
-- A leaf is a triple without its head, which the code stands for. The [SEP] behind it has relation 0: it ends a leaf of
-- whatever relation and says nothing of this one.
local layout = {}

layout.shortest = 7 -- [CLS] code [SEP] [REL] relation tail [SEP], a token each

---@class LeafTokens
---@field name integer[] tokens of the relation
---@field tail integer[] tokens of the tail
---@field number integer of the relation

-- Tokens of a leaf, with [REL] and [SEP].
local function size_of(leaf)
  return #leaf.name + #leaf.tail + 2
end

---Which leaves fit into a sample, and how many tokens of its code stay. The first leaf that fits beside one token of
---code makes its room at the cost of the code's end, the others take what is left; no leaf is cut.
---@param leaves LeafTokens[]
---@param code_size integer
---@param max_len integer
---@return LeafTokens[] kept
---@return integer[] places of those in `leaves`
---@return integer stays tokens of code
function layout.fit(leaves, code_size, max_len)
  local room, stays, kept, places = max_len - 2, math.min(1, code_size), {}, {} -- 2: [CLS], and [SEP] behind the code
  for i, leaf in ipairs(leaves) do
    local size = size_of(leaf)
    if size + stays <= room then
      room = room - size
      if #kept == 0 then stays = math.min(code_size, room) end
      kept[#kept + 1], places[#places + 1] = leaf, i
    end
  end
  return kept, places, stays
end

---Writes a sample behind the first `size` tokens of flat lists.
---@param ids integer[]
---@param rel integer[]
---@param size integer
---@param code integer[]
---@param stays integer tokens of code
---@param leaves LeafTokens[]
---@param special { cls: integer, sep: integer, rel: integer }
---@return integer size with it
function layout.write(ids, rel, size, code, stays, leaves, special)
  local function put(id, number)
    size = size + 1
    ids[size], rel[size] = id, number
  end
  put(special.cls, 0)
  for i = 1, stays do put(code[i], 0) end
  put(special.sep, 0)
  for _, leaf in ipairs(leaves) do
    put(special.rel, leaf.number)
    for _, id in ipairs(leaf.name) do put(id, leaf.number) end
    for _, id in ipairs(leaf.tail) do put(id, leaf.number) end
    put(special.sep, 0)
  end
  return size
end

return layout
