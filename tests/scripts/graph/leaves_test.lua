-- Samples of code and leaves with an encoder made by hand: golden samples, both modes, what is cut and dropped.
local fail = require 'fail'
local leaves = require 'graph.leaves'
local relations = require 'graph.relations'
local t = require 'testing'

-- A token for every word: ten times its length and what its first letter is in the alphabet.
local asked = {}
local function encode(text)
  asked[text] = (asked[text] or 0) + 1
  local ids = {}
  for word in text:gmatch '%S+' do ids[#ids + 1] = 10 * #word + word:byte() - 96 end
  return ids
end

-- Not in the order of their names, so that a number written into the code would show.
local SPECIAL = { pad = 5, cls = 3, sep = 4, mask = 1, rel = 2, unk = 0 }

local function triple(words)
  local head, relation, tail = words:match '^(%S+) (%S+) (%S+)$'
  return { head = head, relation = relation, tail = tail }
end

local function list_of(...)
  local list = {}
  for i = 1, select('#', ...) do list[i] = triple((select(i, ...))) end
  return list
end

local function samples(list, code, changes)
  local given = { max_len = 64, encode = encode, special = SPECIAL }
  for key, value in pairs(changes or {}) do given[key] = value end
  return leaves.samples(list, code or {}, given)
end

-- Tokens and relations of sample n.
local function sample(made, n)
  local ids, rel = {}, {}
  for i = made.offsets[n] + 1, made.offsets[n + 1] do
    ids[#ids + 1], rel[#rel + 1] = made.ids[i], made.rel[i]
  end
  return ids, rel
end

-- Lists of words, each with this many numbers.
local function many(count, of)
  local list = {}
  for i = 1, count do list[i] = triple(of(i)) end
  return list
end

t.test('a sample is code and leaves, with the relation on [REL], name and tail', function()
  local made = samples(list_of('f calls os.path', 'f returns g'), { f = 'def ff' })
  local ids, rel = sample(made, 1)
  --              CLS def ff  SEP REL calls os  path SEP REL returns g  SEP
  t.equal(ids, { 3,  34, 26, 4,  2,  53,   35, 56,  4,  2,  88,     17, 4 }, 'tokens')
  t.equal(rel, { 0,  0,  0,  0,  1,  1,    1,  1,   0,  2,  2,      2,  0 }, 'relations')
  t.equal(made.offsets, { 0, 13 })
  t.equal(made.heads, { 'f' })
  t.equal(made.texts, { 'def ff' })
  t.equal(made.triples, { list_of('f calls os.path', 'f returns g') })
  t.equal(made.relations, { '<none>', 'calls', 'returns' })
  t.equal(made.mode, 'grouped')
  t.equal(made.counts, { triples = 2, over_limit = 0, leaves = 2, leaves_dropped = 0, samples = 1, samples_dropped = 0,
    code_cut = 0, heads_without_code = 0, longest = 13 })
end)

t.test('triples are grouped by head as the heads first come, five in a sample', function()
  local list = many(12, function(i) return ('%s calls t%d'):format(i == 3 and 'b' or 'a', i) end)
  local made = samples(list, { b = 'x' })
  t.equal(made.heads, { 'a', 'a', 'a', 'b' })
  t.equal(made.texts, { 'a', 'a', 'a', 'x' })
  t.equal({ #made.triples[1], #made.triples[2], #made.triples[3], #made.triples[4] }, { 5, 5, 1, 1 })
  t.equal(made.triples[1][3], list[4])
  t.equal(made.counts.heads_without_code, 1)
  t.equal(samples(list, {}, { leaves = 20 }).heads, { 'a', 'b' })
end)

t.test('simple mode: 1000 of the triples make 200 samples of one text, five leaves each', function()
  local list = many(1003, function(i) return ('h%d calls t%d'):format(i, i) end)
  local made = samples(list, { h1 = 'never seen' }, { mode = 'simple' })
  t.fields(made.counts, { triples = 1003, over_limit = 3, samples = 200, leaves = 1000, heads_without_code = 0 })
  t.equal({ made.heads[1], made.heads[2], made.heads[200] }, { 'h1', 'h6', 'h996' })
  for n = 1, 200 do
    t.equal(made.texts[n], made.texts[1])
    t.equal(made.triples[n][5], list[5 * n])
  end
  made = samples(list, {}, { mode = 'simple', limit = 7, text = 'one two' })
  t.equal({ #made.triples[1], #made.triples[2], made.texts[2] }, { 5, 2, 'one two' })
  t.fields(made.counts, { samples = 2, over_limit = 996 })
end)

t.test('code is cut until one whole leaf fits, and further leaves that do not fit are dropped whole', function()
  local list = list_of('f r a.b.c', 'f r a.b.c.d', 'f r a')
  local code = { f = 'one two three four five six seven eight' }
  local function made_of(max_len) return samples(list, code, { max_len = max_len }) end
  local made = made_of(25) -- 10 of code, leaves of 6, 7 and 4: 27 in all
  t.equal(made.triples[1], { list[1], list[2] })
  t.fields(made.counts, { leaves = 2, leaves_dropped = 1, code_cut = 0, longest = 23 })
  made = made_of(21) -- the second leaf has no room, the third one has
  t.equal(made.triples[1], { list[1], list[3] })
  t.fields(made.counts, { leaves = 2, leaves_dropped = 1, code_cut = 0, longest = 20 })
  made = made_of(12)
  t.equal(made.triples[1], { list[1] })
  t.fields(made.counts, { leaves = 1, leaves_dropped = 2, code_cut = 1, longest = 12 })
  t.equal({ (sample(made, 1)) }, { { 3, 45, 50, 70, 46, 4, 2, 28, 11, 12, 13, 4 } })
  t.equal(made.texts[1], code.f)
  made = made_of(8) -- the first two leaves do not fit even beside one token of code
  t.equal(made.triples[1], { list[3] })
  t.fields(made.counts, { leaves = 1, leaves_dropped = 2, code_cut = 1, longest = 8 })
end)

t.test('a sample without a leaf that fits is dropped and counted', function()
  local made = samples(list_of('f r a.b.c.d', 'f r a.b.c.e', 'g r a', 'h r a.b.c.d'), {}, { max_len = 8 })
  t.equal(made.heads, { 'g' })
  t.equal(made.offsets, { 0, 7 })
  t.fields(made.counts, { samples = 1, samples_dropped = 2, leaves = 1, leaves_dropped = 3 })
  made = samples(list_of('f r a.b.c.d'), {}, { max_len = 7 })
  t.equal(made.ids, {})
  t.fields(made.counts, { samples = 0, samples_dropped = 1, longest = 0 })
end)

t.test('the number of a relation follows from the names, not from their order in a file', function()
  local list = list_of('f returns a', 'f calls b', 'f raises c')
  t.equal(samples(list).relations, { '<none>', 'calls', 'raises', 'returns' })
  t.equal(samples({ list[3], list[1], list[2] }).relations, samples(list).relations)
  local kept = { '<none>', 'raises', 'returns', 'calls' }
  local _, rel = sample(samples({ list[2] }, {}, { relations = kept }), 1)
  t.equal(rel, { 0, 0, 0, 3, 3, 3, 0 })
  t.equal(relations.ids(kept), { ['<none>'] = 0, raises = 1, returns = 2, calls = 3 })
  local function refused(given, pattern)
    local err = t.error_matches(function() samples(list, {}, { relations = given }) end, pattern)
    t.equal(fail.code_of(err), 4)
  end
  refused({ '<none>', 'calls', 'raises' }, "relation 'returns' of %(f, returns, a%) is not among the relations")
  refused({ 'calls', 'raises', 'returns' }, "entry 1 is 'calls'; expected '<none>' as the first")
  refused({ '<none>', 'calls', 'calls' }, "entry 3 is 'calls'; .*different names behind it")
  refused({ '<none>', 'calls', '<none>' }, "entry 3 is '<none>'")
  refused({}, "the list is empty; expected '<none>' as the first")
  local err = t.error_matches(function() samples(list_of 'f <none> a') end, "relation '<none>' of .* is not among")
  t.equal(fail.code_of(err), 4)
end)

t.test('a text is encoded once, and thirty thousand triples take no time', function()
  asked = {}
  local list = many(30000, function(i) return ('head%d calls tail.%d'):format(i % 3000, i % 100) end)
  local began = os.clock()
  local made = samples(list)
  t.is_true(os.clock() - began < 10, os.clock() - began .. ' s') -- 0.1 s here; a slow machine decides no test
  t.equal(made.counts.leaves, 30000)
  t.equal(#made.ids, made.offsets[made.counts.samples + 1])
  t.equal(#made.rel, #made.ids)
  for text, times in pairs(asked) do t.equal(times, 1, text) end
end)

t.test('what cannot be is told', function()
  local list = list_of 'f r a'
  local function refused(code, pattern, changes, other)
    local err = t.error_matches(function() samples(other or list, {}, changes) end, pattern)
    t.equal(fail.code_of(err), code)
  end
  refused(4, 'there are no triples, so there are no samples', {}, {})
  refused(3, 'max_len must be at least 7, .*, got 6', { max_len = 6 })
  refused(3, "option 'mode' is .groupe.; nearest: grouped", { mode = 'groupe' })
  refused(3, 'must be at least 1', { leaves = 0 })
  refused(3, 'encode must give a list of ids, got a string', { encode = function() return 'ids' end })
  refused(3, "special: option 'unk' %(int%) is required",
    { special = { pad = 0, cls = 1, sep = 2, mask = 3, rel = 4 } })
  refused(3, "special tokens 'cls' and 'rel' are both 1",
    { special = { pad = 0, cls = 1, sep = 2, mask = 3, rel = 1, unk = 5 } })
end)
