-- How many masked tokens are told without learning anything of order: by what is common, by what the code shows.
local baselines = {}

local IGNORED = -100

-- A count more of `key`, and of `token` below it.
local function count(of, key, token)
  local row = of[key] or {}
  of[key] = row
  row[token] = (row[token] or 0) + 1
end

-- The token with the highest count; of equal ones the lowest id, so that every process has the same.
local function most(counts)
  local best
  for token, n in pairs(counts or {}) do
    if not best or n > counts[best] or n == counts[best] and token < best then best = token end
  end
  return best
end

local function most_of_each(of)
  local best = {}
  for key, counts in pairs(of) do best[key] = most(counts) end
  return best
end

-- Calls see(id, relation, place) for each token of a row; place: how far behind its [REL] a token of a leaf stands.
local function walk(ids, relations, rel_token, see)
  local begin
  for at = 1, #ids do
    if ids[at] == rel_token and relations[at] > 0 then begin = at end
    see(ids[at], relations[at], begin and at - begin or 0, at)
  end
end

local function key_of(relation, place) return ('%d %d'):format(relation, place) end

---What is common in some samples: `code`, its most common token; by relation `fact`, and by relation and place in the
---leaf `place`, the most common token of leaves; `in_leaves`, counts of tokens by relation. Only tokens that may be
---masked count.
---@param samples LeafSamples
---@param numbers integer[] of samples, those that are trained on
---@param special table<string, integer> ids of the marks
---@return { code: integer?, fact: table, place: table, in_leaves: table }
function baselines.common(samples, numbers, special)
  local is_mark, code, leaves, places = {}, {}, {}, {}
  for _, id in pairs(special) do is_mark[id] = true end
  for _, n in ipairs(numbers) do
    local first, last = samples.offsets[n] + 1, samples.offsets[n + 1]
    local ids, relations = { unpack(samples.ids, first, last) }, { unpack(samples.rel, first, last) }
    walk(ids, relations, special.rel, function(id, relation, place)
      if is_mark[id] then return end
      if relation == 0 then
        code[id] = (code[id] or 0) + 1
      else
        count(leaves, relation, id)
        count(places, key_of(relation, place), id)
      end
    end)
  end
  return { code = most(code), fact = most_of_each(leaves), place = most_of_each(places), in_leaves = leaves }
end

-- The token of a row's code that is most common in leaves of a relation; where none of them is, the one that is most
-- common in the code. Second: whether a token stands there.
local function copier(ids, relations, is_mark, in_leaves)
  local shown, best = {}, {}
  for at, id in ipairs(ids) do
    if relations[at] == 0 and not is_mark[id] then shown[id] = (shown[id] or 0) + 1 end
  end
  return function(relation)
    if not best[relation] then
      local told = {}
      for id in pairs(shown) do told[id] = (in_leaves[relation] or {})[id] end
      best[relation] = most(told) or most(shown) or IGNORED
    end
    return best[relation]
  end, shown
end

local function hit(part, right)
  part.n, part.correct = part.n + 1, part.correct + (right and 1 or 0)
end

---What each rule tells of the masked tokens of batches, as {n, correct}. Of code, `mlm`: `common`, the most common
---token. Of facts, `mnm`: `common` by relation, `place` by relation and place in the leaf, `copy`, a token that the
---sample's code shows, and `shown`, which counts what any copy could get at best. `tails` is the same without the names
---of relations, which follow from the relation alone.
---@param common table of baselines.common
---@param batches Batches of data.masked
---@param special table<string, integer>
---@param name_tokens integer[] how many tokens the name of each relation has, by its number plus 1
---@return { mlm: table<string, table>, mnm: table<string, table>, tails: table<string, table> }
function baselines.measure(common, batches, special, name_tokens)
  local found, is_mark = { mlm = {}, mnm = {}, tails = {} }, {}
  for _, id in pairs(special) do is_mark[id] = true end
  for part, rules in pairs { mlm = { 'common' }, mnm = { 'common', 'place', 'copy', 'shown' },
    tails = { 'common', 'place', 'copy', 'shown' } } do
    for _, rule in ipairs(rules) do found[part][rule] = { n = 0, correct = 0 } end
  end
  local function row_of(ids, relations, targets)
    local copied, shown = copier(ids, relations, is_mark, common.in_leaves)
    walk(ids, relations, special.rel, function(_, relation, place, at)
      local gold = targets[at]
      if gold == IGNORED then return end
      if relation == 0 then return hit(found.mlm.common, gold == common.code) end
      local rights = { common = gold == common.fact[relation], place = gold == common.place[key_of(relation, place)],
        copy = gold == copied(relation), shown = shown[gold] ~= nil }
      for rule, right in pairs(rights) do
        hit(found.mnm[rule], right)
        if place > name_tokens[relation + 1] then hit(found.tails[rule], right) end
      end
    end)
  end
  for i = 0, batches:count() - 1 do
    local x, y = batches:get(i)
    local rows, targets = x:tolist(), y:tolist()
    for b = 1, #rows do row_of(rows[b][1], rows[b][2], targets[b]) end
  end
  return found
end

return baselines
