-- Numbers of result tables say where they come from (guard G27).
local fail = require 'fail'
local provenance = require 'compare.provenance'
local t = require 'testing'

local ours = provenance.measured(1.5, { 'gru/20260101-000000-abcdef' })
local theirs = provenance.literature(3, 'Karpathy 2015', 'one GPU, not named')

t.test('guard G27: a hand-made cell fails with its row and column', function()
  for _, cell in ipairs { 1.48, '1.48', { value = 1.48 }, { tag = 'guessed', value = 1.48 } } do
    local err = t.error_matches(function()
      provenance.render({ 'loss', 'note' },
        { { label = 'lr=0.1', cells = { loss = ours } }, { label = 'lr=0.2', cells = { loss = cell } } })
    end, "G27 provenance: row 'lr=0.2', column 'loss': the value 1.48 has no provenance")
    t.equal(fail.code_of(err), 1)
  end
end)

t.test('guard G27: a measured value needs a run, a derived one cells, one of the literature a source', function()
  t.error_matches(function() provenance.measured(1, {}) end, 'needs the ids of its runs')
  t.error_matches(function() provenance.literature(1, 'a paper') end, 'needs its source and its machine')
  t.error_matches(function() provenance.derived('a + 1', {}, tostring) end, 'needs a formula and the cells')
  t.error_matches(function() provenance.derived('a + b', { ours, 2 }, tostring) end,
    "cell 2 of the formula 'a %+ b': the value 2 has no")
end)

t.test('ratios with the literature are for orientation, and so is what is made of them', function()
  t.equal(provenance.text(provenance.ratio(ours, ours), 'x'), '1.0000')
  local ratio = provenance.ratio(theirs, ours)
  t.equal(provenance.text(ratio, 'x'), '2.0000 (for orientation)')
  local twice = provenance.derived('2 a', { ratio }, function(a) return 2 * a end)
  t.equal(provenance.text(twice, 'x', function(v) return ('%.1f'):format(v) end), '4.0 (for orientation)')
end)

t.test('a value that was not measured is NA, and nothing is computed from it', function()
  local absent = provenance.measured(nil, { 'a-run' })
  t.equal(provenance.text(absent, 'x'), 'NA')
  t.equal(provenance.text(provenance.ratio(ours, absent), 'x'), 'NA')
  t.equal(provenance.text(nil, 'x'), 'NA')
  t.equal(provenance.text(provenance.ratio(ours, provenance.measured(0, { 'a-run' })), 'x'), 'NA')
end)

t.test('a table is rendered with its words, sources and marks', function()
  t.equal(provenance.render({ 'loss', 'ratio', 'note' }, {
    { label = 'ours', cells = { loss = ours, note = 'tied head' } },
    { label = 'theirs', cells = { loss = theirs, ratio = provenance.ratio(theirs, ours) } },
  }), {
    '        loss                                        ratio                     note',
    'ours    1.5000                                      NA                        tied head',
    'theirs  3.0000 [Karpathy 2015; one GPU, not named]  2.0000 (for orientation)  NA',
  })
end)
