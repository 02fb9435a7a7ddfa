-- Baselines for masked tokens, on samples small enough to count by hand.
local baselines = require 'graph.baselines'
local data = require 'data'
local t = require 'testing'
local torch = require 'torch'

local SPECIAL = { pad = 0, cls = 1, sep = 2, mask = 3, rel = 4, unk = 5 }

-- Samples of lists of tokens and of their relations.
local function samples_of(rows)
  local made = { ids = {}, rel = {}, offsets = { 0 } }
  for _, row in ipairs(rows) do
    for i, id in ipairs(row[1]) do made.ids[#made.ids + 1], made.rel[#made.rel + 1] = id, row[2][i] end
    made.offsets[#made.offsets + 1] = #made.ids
  end
  return made
end

-- Code 10 11 11; a leaf of relation 1, whose name is 20; a leaf of relation 2, whose name is 21 22.
local TRAIN = samples_of {
  { { 1, 10, 11, 11, 2, 4, 20, 30, 30, 2 }, { 0, 0, 0, 0, 0, 1, 1, 1, 1, 0 } },
  { { 1, 10, 11, 2, 4, 20, 31, 2, 4, 21, 22, 32, 2 }, { 0, 0, 0, 0, 1, 1, 1, 0, 2, 2, 2, 2, 0 } },
}

-- Batches of one row, as data.masked gives them.
local function one(ids, relations, targets)
  return { count = function() return 1 end, get = function()
    return torch.tensor({ { ids, relations } }, { dtype = 'int64' }), torch.tensor({ targets }, { dtype = 'int64' })
  end }
end

t.test('what is common is counted by relation and by place in the leaf, marks left out', function()
  local common = baselines.common(TRAIN, { 1, 2 }, SPECIAL)
  t.equal(common.code, 11)
  t.equal(common.fact, { 20, 21 }, 'of 20 and 30, each twice, the lower id; of three once the lowest')
  t.equal(common.place, { ['1 1'] = 20, ['1 2'] = 30, ['1 3'] = 30, ['2 1'] = 21, ['2 2'] = 22, ['2 3'] = 32 })
  t.equal(common.in_leaves, { { [20] = 2, [30] = 2, [31] = 1 }, { [21] = 1, [22] = 1, [32] = 1 } })
  t.equal(baselines.common(TRAIN, { 2 }, SPECIAL).place['1 2'], 31, 'only samples that are trained on')
end)

t.test('each rule is right where its answer is the masked token', function()
  local common = baselines.common(TRAIN, { 1, 2 }, SPECIAL)
  local found = baselines.measure(common, one(
    --     11          31                 20  31  99                 22  32
    { 1, 10, 3, 31, 2, 4, 3, 3, 3, 2, 4, 21, 3, 3, 2, 0 },
    { 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 2, 2, 2, 2, 0, 0 },
    { -100, -100, 11, -100, -100, -100, 20, 31, 99, -100, -100, -100, 22, 32, -100, -100 }), SPECIAL, { 1, 1, 2 })
  t.equal(found.mlm, { common = { n = 1, correct = 1 } })
  t.equal(found.mnm, { common = { n = 5, correct = 1 }, place = { n = 5, correct = 3 }, -- 20, 22 and 32
    copy = { n = 5, correct = 1 }, shown = { n = 5, correct = 1 } })                    -- 31, which the code shows
  t.equal(found.tails, { common = { n = 3, correct = 0 }, place = { n = 3, correct = 1 },
    copy = { n = 3, correct = 1 }, shown = { n = 3, correct = 1 } })
end)

t.test('a masked token of the code is not shown, and code without a token of the leaf is copied as it is', function()
  local common = baselines.common(TRAIN, { 1, 2 }, SPECIAL)
  local found = baselines.measure(common, one({ 1, 3, 12, 12, 13, 2, 4, 20, 3, 3, 2 },
    { 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0 }, { -100, 31, -100, -100, -100, -100, -100, -100, 31, 12, -100 }), SPECIAL,
    { 1, 1, 2 })
  t.equal(found.mnm.shown, { n = 2, correct = 1 })
  t.equal(found.mnm.copy, { n = 2, correct = 1 })
  t.equal(found.mlm.common, { n = 1, correct = 0 })
end)

t.test('they count exactly what data.masked masks', function()
  local masked = data.masked { samples = TRAIN, train = { 1 }, val = { 1, 2 }, vocab_size = 40, special = SPECIAL,
    batch = 1, seed = 5 }
  local found = baselines.measure(baselines.common(TRAIN, { 1 }, SPECIAL), masked.val, SPECIAL, { 1, 1, 2 })
  local code, facts = 0, 0
  for i = 0, masked.val:count() - 1 do
    local x, y = masked.val:get(i)
    local counted, fact = y:ne(-100), x:select(1, 1):gt(0)
    facts = facts + counted:logical_and(fact):sum():item()
    code = code + counted:logical_and(fact:logical_not()):sum():item()
  end
  t.equal(found.mlm.common.n, code)
  t.equal(found.mnm.copy.n, facts)
  t.equal(facts, 8, 'every token of a leaf here, for eight are masked at least')
end)
