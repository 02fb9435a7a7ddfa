-- Link prediction and code search of a GraphMER on the validation part of its graph, beside what needs no training.
local code_search = require 'graph.code_search'
local columns = require 'base.columns'
local link_prediction = require 'graph.link_prediction'
local pretty = require 'pretty'
local ranking = require 'graph.ranking'
local relations = require 'graph.relations'
local statistics = require 'statistics'

local ranks = {}

local CODE_RANKS = 10 -- code search counts ranks up to this one: MRR@10

-- The heads of some samples, each once, and the set of them.
local function heads_of(graph, numbers)
  local list, seen = {}, {}
  for _, n in ipairs(numbers) do
    local head = graph.samples.heads[n]
    if not seen[head] then seen[head], list[#list + 1] = true, head end
  end
  return list, seen
end

-- The triples of both parts by their heads, those whose leaves did not fit into a sample too.
local function triples_of(graph)
  local _, in_train = heads_of(graph, graph.parts.train)
  local _, in_val = heads_of(graph, graph.parts.val)
  local train, val = {}, {}
  for _, triple in ipairs(graph.triples) do
    if in_train[triple.head] then
      train[#train + 1] = triple
    elseif in_val[triple.head] then
      val[#val + 1] = triple
    end
  end
  return train, val
end

-- Prints rows of ranking.row, and the paired difference of the first one's reciprocal ranks from each of the others'.
local function print_table(title, named)
  local rows = { { title, 'MRR', 'right one among the first ten' } }
  for i, one in ipairs(named) do rows[i + 1] = ranking.row(one[1], one[2]) end
  print(table.concat(columns.lines(rows), '\n'))
  local first = named[1]
  for i = 2, #named do
    local other, differences = named[i], {}
    for q, own in ipairs(first[2].reciprocals) do
      differences[q] = own - (other[2].reciprocals and other[2].reciprocals[q] or other[2].mrr)
    end
    local d = statistics.paired(differences)
    if d.half then
      print(('%s against %s: MRR %+.4f +- %.4f over %s questions, %s'):format(first[1], other[1], d.mean, d.half,
        pretty.count(d.n), math.abs(d.mean) <= d.half and 'no difference can be claimed' or d.mean > 0 and 'higher'
        or 'lower'))
    end
  end
end

---Prints link prediction: triples of val, tails of train as candidates, all triples that are known left out.
---@param graph table of graphmer.graph
---@param named { [1]: string, [2]: Module }[] the trained model first, then an untrained one
---@return table<string, table> summaries by name
function ranks.links(graph, named)
  local train, val = triples_of(graph)
  local questions = link_prediction.questions(train, val, graph.triples)
  local about = { encode = graph.tokenizer.encode, pad = graph.tokenizer.special.pad,
    relations = relations.ids(graph.relations) }
  local rows, found = {}, {}
  for i, one in ipairs(named) do
    rows[i] = { one[1], ranking.summary(link_prediction.by_model(one[2], questions, about)) }
  end
  local frequency, sizes = link_prediction.by_frequency(questions)
  rows[#rows + 1] = { 'frequency of the tail', ranking.summary(frequency) }
  rows[#rows + 1] = { 'random', ranking.random(sizes) }
  print(('\n%s triples of val, %s more left out because train has no such tail'):format(pretty.count(questions.n),
    pretty.count(questions.excluded)))
  print_table('link prediction', rows)
  for _, row in ipairs(rows) do found[row[1]] = row[2] end
  found.excluded = questions.excluded
  return found
end

---Prints code search: names of entities of val ask for their code among the codes of val.
---@param graph table
---@param named { [1]: string, [2]: Module }[]
---@param max_len integer tokens of a code that are read
---@return table<string, table> summaries by name
function ranks.code(graph, named, max_len)
  local questions = code_search.questions((heads_of(graph, graph.parts.val)), graph.code, graph.tokenizer.encode)
  local about = { pad = graph.tokenizer.special.pad, max_len = max_len, vocab = graph.tokenizer.vocab_size }
  print(('\n%s entities of val, %s different codes'):format(pretty.count(#questions.gold),
    pretty.count(#questions.codes)))
  local rows, found, sizes = {}, {}, {}
  for i = 1, #questions.gold do sizes[i] = #questions.codes end
  if #questions.gold > 0 then
    for i, one in ipairs(named) do
      rows[i] = { one[1], ranking.summary((code_search.by_model(one[2], questions, about)), CODE_RANKS) }
    end
    rows[#rows + 1] = { 'common tokens', ranking.summary(code_search.by_tokens(questions, about), CODE_RANKS) }
    rows[#rows + 1] = { 'random', ranking.random(sizes, CODE_RANKS) }
    print_table('code search, MRR@10', rows)
  end
  for _, row in ipairs(rows) do found[row[1]] = row[2] end
  return found
end

return ranks
