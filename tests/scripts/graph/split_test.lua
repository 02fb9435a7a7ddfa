-- Training and validation parts of samples, and what they share.
local fail = require 'fail'
local leaves = require 'graph.leaves'
local overlap = require 'graph.overlap'
local split = require 'graph.split'
local t = require 'testing'

local SPECIAL = { pad = 0, cls = 1, sep = 2, mask = 3, rel = 4, unk = 5 }

local function samples(list, code, mode)
  return leaves.samples(list, code, { mode = mode, max_len = 32, special = SPECIAL,
    encode = function(text) return { #text + 6 } end })
end

local function numbered(count)
  local list = {}
  for i = 1, count do list[i] = { head = 'head' .. i, relation = 'calls', tail = 'tail' .. i } end
  return list
end

t.test('simple samples are split in their order: 1000 triples, 200 samples, 160 and 40', function()
  local parts = split.of(samples(numbered(1000), {}, 'simple'))
  t.equal({ #parts.train, #parts.val }, { 160, 40 })
  t.equal({ parts.train[1], parts.train[160], parts.val[1], parts.val[40] }, { 1, 160, 161, 200 })
end)

t.test('grouped samples are split by a hash of the head that never changes', function()
  t.near(split.place 'head1', 0.26532, 1e-5) -- the first 32 bits of its sha256
  local list = numbered(500)
  for i = 1, 500 do list[500 + i] = { head = 'head' .. i, relation = 'returns', tail = 'x' .. i } end
  for i = 1, 6 do list[1000 + i] = { head = 'head7', relation = 'raises', tail = 'y' .. i } end
  local made = samples(list, {})
  local parts = split.of(made)
  t.equal(#parts.train + #parts.val, 501)
  t.near(#parts.train / 501, 0.8, 0.05)
  local side = {}
  for name, numbers in pairs(parts) do
    for _, n in ipairs(numbers) do
      t.equal(side[made.heads[n]] or name, name, 'all samples of a head are on one side')
      side[made.heads[n]] = name
    end
  end
  local fewer = samples({ unpack(list, 1, 100) }, {})
  for name, numbers in pairs(split.of(fewer)) do
    for _, n in ipairs(numbers) do t.equal(side[fewer.heads[n]], name, 'whatever other heads there are') end
  end
  t.near(#split.of(made, { train = 0.5 }).train / 501, 0.5, 0.07)
end)

t.test('heads with equal code stay together where the code is hashed, which leaves nothing shared', function()
  local code = {}
  for i = 1, 200 do code['head' .. i] = 'code ' .. i % 50 end
  local made = samples(numbered(200), code)
  local by_head, by_code = overlap.of(made, split.of(made)), overlap.of(made, split.of(made, { by = 'code' }))
  t.is_true(by_head.code.share > 0.5, by_head.code.share)
  t.fields(by_code.code, { shared = 0, share = 0, examples = {} })
end)

t.test('an empty part and a share that makes one are told', function()
  local function refused(code, pattern, count, given)
    local err = t.error_matches(function() split.of(samples(numbered(count), {}, 'simple'), given) end, pattern)
    t.equal(fail.code_of(err), code)
  end
  refused(4, "none of 1 samples is in 'val' %(train = 0.8%); it takes more samples, or another share", 5)
  refused(4, "none of 2 samples is in 'train' %(train = 0.1%)", 10, { train = 0.1 })
  refused(3, 'train must lie between 0 and 1, got 1', 10, { train = 1 })
  refused(3, "option 'by'", 10, { by = 'tail' })
end)

t.test('overlap counts code and triples that validation shares with training', function()
  local function fact(head, tail) return { head = head, relation = 'calls', tail = tail } end
  local made = { texts = { 'x', 'y', 'x', 'z' }, heads = { 'a', 'b', 'c', 'd' },
    triples = { { fact('a', 't') }, { fact('b', 't'), fact('b', 'u') }, { fact('b', 'u'), fact('c', 't') }, {} } }
  t.equal(overlap.of(made, { train = { 1, 2 }, val = { 3, 4 } }), {
    code = { shared = 1, of = 2, share = 0.5, examples = { 'c' } },
    triples = { shared = 1, of = 2, share = 0.5, examples = { '(b, calls, u)' } } })
  local same = samples(numbered(100), {}, 'simple')
  local found = overlap.of(same, split.of(same))
  t.fields(found.code, { shared = 4, of = 4, share = 1, examples = { 'head81', 'head86', 'head91' } })
  t.fields(found.triples, { shared = 0, of = 20, share = 0, examples = {} })
end)
