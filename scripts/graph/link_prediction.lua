-- Link prediction: which tail belongs to a head and a relation? Tails of the training part are ranked by
-- cos(enc(head) + E[relation], enc(tail)), enc being the mean of hidden states over the tokens of a name.
local ranking = require 'graph.ranking'
local text_vectors = require 'graph.text_vectors'
local torch = require 'torch'

local link_prediction = {}

local NAME_TOKENS, QUESTIONS = 64, 256 -- tokens of a name that are read; triples whose scores are held at once

-- A list of different things in the order in which they first come, and the place of each, from 0.
local function collection()
  local made = { list = {}, place = {} }
  function made.add(item)
    if not made.place[item] then
      made.list[#made.list + 1] = item
      made.place[item] = #made.list - 1
    end
    return made.place[item]
  end
  return made
end

---The questions that test triples are, by relation: heads, the right one of the candidates, and other tails that are
---known to be right, which are left out of the ranking. The candidates of a relation are the tails that it has in
---train; a triple whose tail is not among them cannot be told and is `excluded`.
---@param train Triple[]
---@param test Triple[]
---@param known Triple[] all that are known to be true
---@return { relations: table[], excluded: integer, n: integer } relations: { relation, candidates, counts, heads, gold,
---others }, by name
function link_prediction.questions(train, test, known)
  local candidates, tails_of, by_name, made = {}, {}, {}, { relations = {}, excluded = 0, n = 0 }
  for _, triple in ipairs(train) do
    local own = candidates[triple.relation] or { tails = collection(), counts = {} }
    candidates[triple.relation] = own
    local at = own.tails.add(triple.tail) + 1
    own.counts[at] = (own.counts[at] or 0) + 1
  end
  for _, triple in ipairs(known) do
    local key = triple.relation .. '\0' .. triple.head
    tails_of[key] = tails_of[key] or {}
    table.insert(tails_of[key], triple.tail)
  end
  for _, triple in ipairs(test) do
    local own = candidates[triple.relation]
    local gold = own and own.tails.place[triple.tail]
    if not gold then
      made.excluded = made.excluded + 1
    else
      local part = by_name[triple.relation]
      if not part then
        part = { relation = triple.relation, candidates = own.tails.list, counts = own.counts, heads = {}, gold = {},
          others = {} }
        by_name[triple.relation], made.relations[#made.relations + 1] = part, part
      end
      local others = {}
      for _, tail in ipairs(tails_of[triple.relation .. '\0' .. triple.head] or {}) do
        others[#others + 1] = own.tails.place[tail]
      end
      local at = #part.heads + 1
      part.heads[at], part.gold[at], part.others[at], made.n = triple.head, gold, others, made.n + 1
    end
  end
  table.sort(made.relations, function(a, b) return a.relation < b.relation end)
  return made
end

-- Ranks of all questions and their numbers of candidates; score(part, first, last) gives the scores of some of a
-- relation.
local function ranks_of(questions, score)
  local ranks, sizes = {}, {}
  for _, part in ipairs(questions.relations) do
    for first = 1, #part.heads, QUESTIONS do
      local last = math.min(first + QUESTIONS - 1, #part.heads)
      local own, own_sizes = torch.scope(function()
        return ranking.ranks(score(part, first, last), { unpack(part.gold, first, last) },
          { unpack(part.others, first, last) })
      end)
      for i = 1, #own do ranks[#ranks + 1], sizes[#sizes + 1] = own[i], own_sizes[i] end
    end
  end
  return ranks, sizes
end

---Ranks by how often a tail has the relation in train, whatever the head.
---@param questions table of link_prediction.questions
---@return number[] ranks
---@return integer[] sizes candidates of each question
function link_prediction.by_frequency(questions)
  return ranks_of(questions, function(part, first, last)
    return torch.tensor(part.counts):to('float32'):unsqueeze(0):expand { last - first + 1, #part.counts }
  end)
end

local function unit(x) return x / x:norm(2, -1, true):clamp_min(1e-8) end

---Ranks by a model, in the order of by_frequency.
---@param model Module of models.graphmer
---@param questions table of link_prediction.questions
---@param about { encode: fun(name: string): integer[], pad: integer, relations: table<string, integer> } relations:
---their numbers
---@return number[] ranks
function link_prediction.by_model(model, questions, about)
  local names, texts = collection(), {}
  for _, part in ipairs(questions.relations) do
    for _, list in ipairs { part.heads, part.candidates } do
      for _, name in ipairs(list) do names.add(name) end
    end
  end
  for i, name in ipairs(names.list) do texts[i] = about.encode((name:gsub('%.', ' '))) end
  if #texts == 0 then return {} end
  local vectors = text_vectors(model, texts, NAME_TOKENS, about.pad)
  local function rows(list)
    local places = {}
    for i, name in ipairs(list) do places[i] = names.place[name] end
    return vectors:index_select(0, torch.tensor(places, { dtype = 'int64' }))
  end
  local tails = {}
  return torch.no_grad(function()
    return (ranks_of(questions, function(part, first, last)
      if not tails[part] then tails = { [part] = torch.keep(unit(rows(part.candidates))) } end
      local relation = model.relation.weight:select(0, about.relations[part.relation])
      return torch.mm(unit(rows { unpack(part.heads, first, last) } + relation), tails[part]:t())
    end))
  end)
end

return link_prediction
