-- Samples of code and leaves from triples and code: what an encoder of code with knowledge-graph leaves reads.
local fail = require 'fail'
local groups = require 'graph.groups'
local layout = require 'graph.layout'
local options = require 'options'
local relations = require 'graph.relations'

local leaves = {}

local OPTIONS = {
  mode = { 'string', 'grouped', one_of = { 'grouped', 'simple' } },
  leaves = { 'int', 5, min = 1 },
  limit = { 'int', 1000, min = 1 },
  text = { 'string', 'def example(value):\n    return value\n' },
  max_len = 'int',
  encode = 'function',
  special = 'table',
  relations = 'list?',
}
local SPECIAL = { pad = 'int', cls = 'int', sep = 'int', mask = 'int', rel = 'int', unk = 'int' }

---@class LeafOptions
---@field mode "grouped"|"simple"|nil grouped: triples by head, beside the head's code; simple: triples as they come,
---beside one and the same text
---@field leaves integer? of a sample at most; 5
---@field limit integer? simple mode takes the first so many triples; 1000
---@field text string? the code of every sample in simple mode
---@field max_len integer tokens of a sample at most
---@field encode fun(text: string): integer[] tokens of a text
---@field special { pad: integer, cls: integer, sep: integer, mask: integer, rel: integer, unk: integer } their ids
---@field relations string[]? as relations.of gives them, such as those a model was made with; those of the triples

---@class LeafSamples
---@field mode "grouped"|"simple"
---@field ids integer[] tokens of all samples, one sample behind the other
---@field rel integer[] the number of each token's relation
---@field offsets integer[] sample i are the tokens from offsets[i] + 1 to offsets[i + 1]
---@field heads string[] of the samples
---@field texts string[] the code of each, before it was cut
---@field triples Triple[][] those whose leaves each has
---@field relations string[] '<none>' first; the number of one is its place minus 1
---@field counts LeafCounts

---@class LeafCounts
---@field triples integer that were given
---@field over_limit integer those behind `limit`
---@field leaves integer in the samples
---@field leaves_dropped integer that did not fit, with those of dropped samples
---@field samples integer
---@field samples_dropped integer in which no leaf fits
---@field code_cut integer samples whose code lost its end
---@field heads_without_code integer heads whose name stands in for their code
---@field longest integer tokens of the longest sample

local function check(given)
  local o = options.check('graph.leaves', given, OPTIONS)
  if o.max_len < layout.shortest then
    fail.config('graph.leaves: max_len must be at least %d, [CLS] code [SEP] [REL] relation tail [SEP], got %d',
      layout.shortest, o.max_len)
  end
  o.special = options.check('graph.leaves special', o.special, SPECIAL)
  local name_of = {}
  for _, name in ipairs { 'pad', 'cls', 'sep', 'mask', 'rel', 'unk' } do
    local id = o.special[name]
    if name_of[id] then
      fail.config("graph.leaves: special tokens '%s' and '%s' are both %d; each has an id of its own", name_of[id],
        name, id)
    end
    name_of[id] = name
  end
  return o
end

-- `encode`, asked once for each text: relations and many tails come thousands of times.
local function remembering(encode)
  local known = {}
  return function(text)
    local ids = known[text]
    if not ids then
      ids = encode(text)
      if type(ids) ~= 'table' then fail.config('graph.leaves: encode must give a list of ids, got a %s', type(ids)) end
      known[text] = ids
    end
    return ids
  end
end

-- The leaf of a triple: a dot of the tail becomes a space, so that its parts are words.
local function leaf_of(triple, encode, numbers)
  local number = numbers[triple.relation]
  if not number or number == 0 then
    fail.data("graph.leaves: relation '%s' of (%s, %s, %s) is not among the relations that have a number",
      triple.relation, triple.head, triple.relation, triple.tail)
  end
  return { name = encode(triple.relation), tail = encode((triple.tail:gsub('%.', ' '))), number = number }
end

local function groups_of(triples, o)
  if #triples == 0 then fail.data 'graph.leaves: there are no triples, so there are no samples' end
  if o.mode == 'simple' then return groups.simple(triples, o.leaves, o.limit) end
  return groups.grouped(triples, o.leaves)
end

local function without_code(parts, code, o)
  local missing, count = {}, 0
  for _, group in ipairs(o.mode == 'grouped' and parts or {}) do
    if not code[group.head] and not missing[group.head] then missing[group.head], count = true, count + 1 end
  end
  return count
end

-- Adds the sample of a group to the end of `made`, or drops it where no leaf fits; `tokens` are those of its code.
local function add(made, group, text, tokens, wanted, o)
  local counts = made.counts
  local kept, places, stays = layout.fit(wanted, #tokens, o.max_len)
  counts.leaves_dropped = counts.leaves_dropped + #wanted - #kept
  if #kept == 0 then
    counts.samples_dropped = counts.samples_dropped + 1
    return
  end
  local n, before = counts.samples + 1, made.offsets[counts.samples + 1]
  local size = layout.write(made.ids, made.rel, before, tokens, stays, kept, o.special)
  made.offsets[n + 1], made.heads[n], made.texts[n], made.triples[n] = size, group.head, text, {}
  for i, place in ipairs(places) do made.triples[n][i] = group.triples[place] end
  counts.samples, counts.leaves = n, counts.leaves + #kept
  counts.longest = math.max(counts.longest, size - before)
  if stays < #tokens then counts.code_cut = counts.code_cut + 1 end
end

---Samples of triples and the code of their heads. Equal arguments give equal samples.
---@param triples Triple[]
---@param code table<string, string> by entity; where there is none a head's name is its code
---@param given LeafOptions
---@return LeafSamples
function leaves.samples(triples, code, given)
  local o = check(given)
  local list = o.relations or relations.of(triples)
  local numbers, encode, parts = relations.ids(list), remembering(o.encode), groups_of(triples, o)
  local made = { mode = o.mode, ids = {}, rel = {}, offsets = { 0 }, heads = {}, texts = {}, triples = {},
    relations = list, counts = { triples = #triples, leaves = 0, leaves_dropped = 0, samples = 0, samples_dropped = 0,
      code_cut = 0, longest = 0, heads_without_code = without_code(parts, code, o),
      over_limit = o.mode == 'simple' and math.max(0, #triples - o.limit) or 0 } }
  for _, group in ipairs(parts) do
    local text, wanted = o.mode == 'simple' and o.text or code[group.head] or group.head, {}
    for i, triple in ipairs(group.triples) do wanted[i] = leaf_of(triple, encode, numbers) end
    add(made, group, text, encode(text), wanted, o)
  end
  return made
end

return leaves
