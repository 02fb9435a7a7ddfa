-- What the keys of a sweep do to its metric.
local effects = require 'sweep.effects'
local t = require 'testing'

local function rows(f, seeds)
  local made = {}
  for a = 1, 3 do
    for b = 1, 2 do
      for seed = 1, seeds do
        local set = { 'm.a=' .. a, 'm.b=' .. b, 'train.seed=' .. seed }
        made[#made + 1] = { cell = { set = set }, value = f(a, b, seed) }
      end
    end
  end
  return made
end

local function share(lines, path)
  for _, line in ipairs(lines) do
    local percent = line:match('^  ' .. path:gsub('%p', '%%%0') .. '%s+(%d+) %%')
    if percent then return tonumber(percent) end
  end
end

t.test('a key that decides alone explains everything, others nothing', function()
  local lines = effects.lines(rows(function(a) return a end, 3), 'val_loss')
  t.equal({ share(lines, 'm.a'), share(lines, 'm.b'), share(lines, 'train.seed') }, { 100, 0, 0 })
end)

t.test('two keys share the variance by what each of them does', function()
  -- The variance of a's three levels is 36 * 2/3 = 24, that of b's two 16 / 4 = 4; adjusted for 24 cells in 3 and 2
  -- groups.
  local lines = effects.lines(rows(function(a, b) return 6 * a + 4 * b end, 4), 'val_loss')
  t.near(share(lines, 'm.a'), 100 * (1 - 4 / 28 * 23 / 21), 0.51)
  t.near(share(lines, 'm.b'), 100 * (1 - 24 / 28 * 23 / 22), 0.51)
end)

t.test('of two keys the means stand in a grid', function()
  local lines = effects.lines(rows(function(a, b, seed) return 10 * a + b + 0.1 * (seed - 2) end, 3), 'val_loss')
  local text = table.concat(lines, '\n')
  t.contains(text, 'means of val_loss\n  m.a \\ m.b  1        2\n  1          11.0000  12.0000\n')
  t.contains(text, '  3          31.0000  32.0000')
end)

t.test('of a drawn key quarters of its range are compared', function()
  local made = {}
  for i = 1, 40 do
    made[i] = { cell = { set = { ('optim.lr=%.4g'):format(10 ^ (-i / 10)), 'm.b=' .. i % 2 } }, value = i }
  end
  local lines = effects.lines(made, 'val_loss')
  t.is_true(share(lines, 'optim.lr') > 90, table.concat(lines, '\n'))
  t.equal(share(lines, 'm.b'), 0)
end)

t.test('where nothing varies, or too few cells have a value, nothing is said', function()
  t.equal(effects.lines({}, 'val_loss'), {})
  t.equal(effects.lines({ { cell = { set = { 'a=1' } }, value = 1 }, { cell = { set = { 'a=2' } } } }, 'val_loss'), {})
  t.equal(effects.lines(rows(function() return 1 end, 1), 'val_loss')[1], 'means of val_loss')
end)
