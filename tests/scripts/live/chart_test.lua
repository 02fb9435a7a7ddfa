local chart = require 'plot.chart'
local t = require 'testing'

local function lines_of(o)
  o.colour = false
  return chart.render(o)
end

t.test('a straight line goes from corner to corner, with its axes', function()
  local lines = lines_of { title = 'loss', series = { { x = { 0, 10 }, y = { 1, 3 }, name = 'train' } }, width = 60,
    height = 6, unicode = false, x_label = 'update' }
  t.equal(lines[1], 'loss   * train')
  t.matches(lines[2], '^       3 %+ .*%*$')
  t.matches(lines[7], '^       1 %+%*')
  t.equal(#lines[8], 9 + 50)
  t.matches(lines[9], '^          0 +update +10$')
  for _, line in ipairs(lines) do t.is_true(#line <= 60, line) end
end)

t.test('a dense curve keeps its peaks', function()
  local x, y = {}, {}
  for i = 1, 100000 do x[i], y[i] = i, 1 end
  y[50000] = 100
  local lines = lines_of { series = { { x = x, y = y } }, width = 60, height = 6, unicode = false }
  t.contains(lines[2], '*')
  t.contains(lines[7], '*')
end)

t.test('braille has eight dots to a character, and widths hold for it', function()
  local lines = lines_of { series = { { x = { 1, 2, 3 }, y = { 1, 2, 1 } } }, width = 44, height = 4, unicode = true }
  local dots = 0
  for code in table.concat(lines):gmatch '\226[\160-\163][\128-\191]' do dots = dots + #code / 3 end
  t.is_true(dots > 20, dots)
end)

t.test('values that are not finite, or not positive on a log axis, are left out', function()
  local lines = lines_of { series = { { x = { 1, 2, 3, 4 }, y = { 0 / 0, 1, math.huge, 10 } } }, width = 60, height = 4,
    unicode = false, y_log = true }
  t.matches(lines[2], '^ +10 %+')
  t.error_matches(function() lines_of { title = 'x', series = { { x = { 1 }, y = { 0 / 0 } } } } end,
    'x: there are no numbers to draw')
  t.error_matches(function() lines_of { series = { { x = { 0 }, y = { 1 } } }, x_log = true } end, 'no numbers')
end)

t.test('one value has an axis too', function()
  local lines = lines_of { series = { { x = { 5 }, y = { 2 } } }, width = 60, height = 4, unicode = false }
  t.contains(table.concat(lines, '\n'), '*')
end)
