-- Ranks, link prediction and code search on cases whose answers are known.
local code_search = require 'graph.code_search'
local link_prediction = require 'graph.link_prediction'
local models = require 'models'
local ranking = require 'graph.ranking'
local t = require 'testing'
local text_vectors = require 'graph.text_vectors'
local torch = require 'torch'

local function triple(words)
  local head, relation, tail = words:match '^(%S+) (%S+) (%S+)$'
  return { head = head, relation = relation, tail = tail }
end
local function triples(list)
  for i, words in ipairs(list) do list[i] = triple(words) end
  return list
end

t.test('a rank counts better candidates, half of the equal ones, and none that is left out', function()
  local scores = torch.tensor { { 3, 1, 2, 0 }, { 1, 1, 1, 1 }, { 5, 4, 3, 2 } }
  local ranks, sizes = ranking.ranks(scores, { 2, 0, 2 }, { {}, {}, { 0, 2 } })
  t.equal(ranks, { 2, 2.5, 2 })
  t.equal(sizes, { 4, 4, 3 })
  t.equal(scores:tolist()[3], { 5, 4, 3, 2 }, 'the scores stay as they were')
end)

t.test('ranks become MRR, MRR@10 and Hits@10', function()
  local all = ranking.summary { 1, 2, 4, 20 }
  t.near(all.mrr, (1 + 1 / 2 + 1 / 4 + 1 / 20) / 4, 1e-12)
  t.equal(all.hits, 3)
  t.near(ranking.summary({ 1, 2, 4, 20 }, 10).mrr, (1 + 1 / 2 + 1 / 4) / 4, 1e-12)
  t.equal(ranking.row('ours', all), { 'ours', ('0.4500 +- %.4f'):format(all.half), '3 of 4 = 75.0 % (30.1 to 95.4 %)' })
  t.equal(ranking.row('none', ranking.summary {}), { 'none', 'no question', '' })
end)

t.test('a random order is told by the numbers of candidates', function()
  local random = ranking.random { 2, 20 }
  local harmonic = 0
  for rank = 1, 20 do harmonic = harmonic + 1 / rank end
  t.near(random.mrr, (1.5 / 2 + harmonic / 20) / 2, 1e-12)
  t.near(random.hits, 1.5, 1e-12)
  local ten = 0
  for rank = 1, 10 do ten = ten + 1 / rank end
  t.near(ranking.random({ 20 }, 10).mrr, ten / 20, 1e-12)
  t.equal(ranking.row('random', random)[3], '1.5 of 2 = 75.0 % expected')
end)

local TRAIN = triples { 'a calls x', 'b calls x', 'c calls y', 'c raises E', 'd calls z' }
local TEST = triples { 'e calls y', 'e calls z', 'e calls unseen', 'e returns T', 'e raises E', 'f calls x' }

t.test('candidates are the tails of a relation in train, and what is not among them is counted', function()
  local all = triples {}
  for _, list in ipairs { TRAIN, TEST } do
    for _, one in ipairs(list) do all[#all + 1] = one end
  end
  local questions = link_prediction.questions(TRAIN, TEST, all)
  t.equal(questions.n, 4)
  t.equal(questions.excluded, 2)
  t.equal(questions.relations[1], { relation = 'calls', candidates = { 'x', 'y', 'z' }, counts = { 2, 1, 1 },
    heads = { 'e', 'e', 'f' }, gold = { 1, 2, 0 }, others = { { 1, 2 }, { 1, 2 }, { 0 } } })
  t.equal(questions.relations[2].relation, 'raises')
  local ranks, sizes = link_prediction.by_frequency(questions)
  t.equal(ranks, { 2, 2, 1, 1 }, 'the other tail of e is no candidate')
  t.equal(sizes, { 2, 2, 3, 1 })
end)

-- A word for each letter; the letter's place in the alphabet is its id.
local function encode(text)
  local ids = {}
  for word in text:gmatch '%S+' do ids[#ids + 1] = word:lower():byte() - 96 end
  return ids
end

-- A model that says of every token the row of a table.
local function lookup(rows, relations)
  local torch_rows = torch.tensor(rows):to 'float32'
  return setmetatable({ training = false, relation = { weight = torch.tensor(relations):to 'float32' },
    eval = function() end }, { __call = function(_, x)
    return torch.embedding(torch_rows, x:select(1, 0))
  end })
end

t.test('a model ranks tails by the cosine of head and relation with them', function()
  local rows = {}
  for i = 0, 26 do rows[i + 1] = { 0, 0 } end
  rows[6], rows[25], rows[27], rows[7] = { 1, 0 }, { 0, 2 }, { 3, 0.1 }, { -1, 0 } -- e, x and y, z and f
  rows[26] = { 0.5, 0.5 }
  local questions = link_prediction.questions(triples { 'a calls x', 'a calls y', 'a calls z' },
    triples { 'e calls z', 'e calls x' }, {})
  -- e + (0, 1) = (1, 1): y is nearest, x and z stand at 45 degrees, z a little nearer.
  local ranks = link_prediction.by_model(lookup(rows, { { 9, 9 }, { 0, 1 } }), questions,
    { encode = encode, pad = 0, relations = { calls = 1 } })
  t.equal(ranks, { 2, 3 })
end)

t.test('the vector of a text is the mean over its own tokens, in whatever batch', function()
  torch.manual_seed(1)
  local model = models.graphmer { relations = 3, vocab = 30, d_model = 16, heads = 2, layers = 2, ff = 32,
    max_len = 20 }
  local texts = {}
  for i = 1, 70 do
    texts[i] = {}
    for k = 1, 1 + (i * 7) % 12 do texts[i][k] = 1 + (i * 3 + k * k) % 29 end
  end
  local all = text_vectors(model, texts, 10, 0)
  t.is_true(model.training, 'the model trains as before')
  t.equal(all.shape, { 70, 16 })
  for _, i in ipairs { 1, 2, 33, 70 } do
    local one = text_vectors(model, { texts[i] }, 10, 0)
    t.near((one:select(0, 0) - all:select(0, i - 1)):abs():max():item(), 0, 1e-5, i)
  end
  local short = { unpack(texts[5], 1, 10) }
  t.is_true(#texts[5] > 10)
  t.near((text_vectors(model, { short }, 10, 0) - all:narrow(0, 4, 1)):abs():max():item(), 0, 1e-5)
end)

t.test('code search ranks different codes, by a model and by common tokens', function()
  local code = { ['m.a'] = 'a b', a = 'a b', c = 'c d e', d = 'd' }
  local questions = code_search.questions({ 'm.a', 'a', 'c', 'd', 'without' }, code, encode)
  t.equal(questions.names, { { 13, 1 }, { 1 }, { 3 }, { 4 } })
  t.equal(questions.codes, { { 1, 2 }, { 3, 4, 5 }, { 4 } })
  t.equal(questions.gold, { 0, 0, 1, 2 })
  t.equal(code_search.by_tokens(questions, { vocab = 27, max_len = 10 }), { 1, 1, 1, 1.5 })
  t.equal(code_search.by_tokens(questions, { vocab = 27, max_len = 1 }), { 1, 1, 1, 1 })
  local rows = {}
  for i = 0, 26 do rows[i + 1] = { i == 1 and 1 or 0, i == 4 and 1 or 0, i == 3 and 1 or 0 } end
  local ranks, sizes = code_search.by_model(lookup(rows, {}), questions, { pad = 0, max_len = 10 })
  t.equal(ranks, { 1, 1, 1, 1 })
  t.equal(sizes, { 3, 3, 3, 3 })
end)
