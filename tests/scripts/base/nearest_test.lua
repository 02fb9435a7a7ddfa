local nearest = require 'nearest'
local t = require 'testing'

t.test('distances count inserts, deletes, changes and swaps', function()
  t.equal(nearest.distance('', 'abc'), 3)
  t.equal(nearest.distance('kitten', 'sitting'), 3)
  t.equal(nearest.distance('hidden', 'hiddne'), 1)
  t.equal(nearest.distance('same', 'same'), 0)
end)

t.test('a distance is the same in both directions', function()
  local words = { 'a', 'ab', 'ba', 'hidden', 'hiden', 'layers', '' }
  for _, a in ipairs(words) do
    for _, b in ipairs(words) do t.equal(nearest.distance(a, b), nearest.distance(b, a)) end
  end
end)

t.test('only names that are close are offered', function()
  local names = { 'optim.lr', 'optim.name', 'train.steps', 'model.norm' }
  t.equal(nearest.find('optim.lrate', names), { 'optim.lr' })
  t.equal(nearest.find('lr', names), { 'optim.lr' })
  t.equal(nearest.find('train.lr', names), { 'optim.lr' })
  t.equal(nearest.find('model.rmsnorm', names), { 'model.norm' })
  t.equal(nearest.find('zebra', names), {})
end)

t.test('case does not matter', function()
  t.equal(nearest.find('HIDDEN', { 'hidden' }), { 'hidden' })
end)

t.test('the hint lists known names when none is near', function()
  t.equal(nearest.hint('zebra', { 'b', 'a' }), '; known: a, b')
  t.equal(nearest.hint('zebra', {}), '')
  t.equal(nearest.hint('hiden', { 'hidden' }, function(name) return name .. ' (int)' end), '; nearest: hidden (int)')
end)

t.test('when none is near, known names of the same section are listed', function()
  t.equal(nearest.hint('guards.zebra', { 'data.a', 'guards.x', 'guards.y' }), '; known: guards.x, guards.y')
  t.equal(nearest.hint('a.b.zebra', { 'a.c', 'd' }), '; known: a.c')
  t.equal(nearest.hint('other.zebra', { 'data.a', 'x' }), '; known: data.a, x')
end)
