local options = require 'options'
local t = require 'testing'

local SPEC = { hidden = 'int', layers = { 'int', 1 }, dropout = { 'number', 0 },
  mode = { 'string', 'gru', one_of = { 'gru', 'lstm' } },
  on_step = 'function?', sizes = { 'list', {} }, value = 'int|string?' }

local function refused(given, pattern)
  t.error_matches(function() options.check('nn.GRU', given, SPEC) end, pattern)
end

t.test('defaults are filled in', function()
  t.equal(options.check('nn.GRU', { hidden = 3 }, SPEC),
    { hidden = 3, layers = 1, dropout = 0, mode = 'gru', sizes = {} })
end)

t.test('a default table is not shared', function()
  options.check('x', { hidden = 1 }, SPEC).sizes[1] = 5
  t.equal(options.check('x', { hidden = 1 }, SPEC).sizes, {})
end)

t.test('what is given is left alone', function()
  local given = { hidden = 3 }
  options.check('x', given, SPEC)
  t.equal(given, { hidden = 3 })
end)

t.test('an unknown option names the nearest', function()
  refused({ hiden = 3 }, "nn.GRU: unknown option 'hiden'; nearest: hidden %(int%)$")
  refused({ hidden = 3, [1] = 4 }, "unknown option '1'")
end)

t.test('a missing option is named', function()
  refused({}, "nn.GRU: option 'hidden' %(int%) is required$")
  refused(nil, "'hidden'")
end)

t.test('a wrong type says what was expected and given', function()
  refused({ hidden = 'x' }, "option 'hidden' must be an int, got string 'x'$")
  refused({ hidden = 1.5 }, 'must be an int, got number 1.5$')
  refused({ hidden = 1, dropout = 0 / 0 }, 'must be a number, got number nan$')
  refused({ hidden = 1, sizes = { a = 1 } }, 'must be a list')
  refused({ hidden = 1, value = true }, 'must be an int or string, got boolean true$')
  refused({ hidden = 1, on_step = 3 }, 'must be a function')
  refused('x', "expected a table of options, got string 'x'")
end)

t.test('a text that must be one of several gives the nearest', function()
  t.equal(options.check('x', { hidden = 1, mode = 'lstm' }, SPEC).mode, 'lstm')
  refused({ hidden = 1, mode = 'lsmt' }, "option 'mode' is 'lsmt'; nearest: lstm$")
end)

t.test('a number that is too small says what is the least', function()
  local spec = { length = { 'int', 5, min = 1 }, share = { 'number?', nil, min = 0 } }
  t.error_matches(function() options.check('x', { length = 0 }, spec) end,
    "x: option 'length' must be at least 1, got 0$")
  t.error_matches(function() options.check('x', { share = -0.5 }, spec) end,
    "x: option 'share' must be at least 0, got %-0.5$")
  t.equal(options.check('x', { length = 1 }, spec), { length = 1 })
end)

t.test('a value may be of either of two types', function()
  t.equal(options.check('x', { hidden = 1, value = 'a' }, SPEC).value, 'a')
  t.equal(options.check('x', { hidden = 1, value = 2 }, SPEC).value, 2)
end)
