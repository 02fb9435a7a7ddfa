-- What validation samples share with training samples: code that was seen in training, facts that were stated there.
-- A score on those says less than one on the others.
local triples = require 'graph.triples'

local overlap = {}

local EXAMPLES = 3

---@class Overlap
---@field shared integer how many of the validation part stand in the training part too
---@field of integer how many there are
---@field share number
---@field examples string[] up to three of the shared ones

local function measure(items, seen, show)
  local found = { shared = 0, of = #items, share = 0, examples = {} }
  for _, item in ipairs(items) do
    if seen[item.key] then
      found.shared = found.shared + 1
      if #found.examples < EXAMPLES then table.insert(found.examples, show(item)) end
    end
  end
  if found.of > 0 then found.share = found.shared / found.of end
  return found
end

-- The keys of some samples: of their code and of each of their triples.
local function items_of(samples, numbers)
  local codes, facts = {}, {}
  for _, n in ipairs(numbers) do
    codes[#codes + 1] = { key = samples.texts[n], head = samples.heads[n] }
    for _, triple in ipairs(samples.triples[n]) do
      facts[#facts + 1] = { key = triples.key(triple), triple = triple }
    end
  end
  return codes, facts
end

local function keys_of(items)
  local keys = {}
  for _, item in ipairs(items) do keys[item.key] = true end
  return keys
end

---How much of a validation part stands in the training part too: code of its samples (whole texts), triples.
---@param samples LeafSamples
---@param parts SampleSplit
---@return { code: Overlap, triples: Overlap }
function overlap.of(samples, parts)
  local train_codes, train_facts = items_of(samples, parts.train)
  local codes, facts = items_of(samples, parts.val)
  return {
    code = measure(codes, keys_of(train_codes), function(item) return item.head end),
    triples = measure(facts, keys_of(train_facts), function(item)
      return ('(%s, %s, %s)'):format(item.triple.head, item.triple.relation, item.triple.tail)
    end),
  }
end

return overlap
