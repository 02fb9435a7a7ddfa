local fail = require 'fail'
local t = require 'testing'

local function caught(f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok)
  return err
end

t.test('each kind of error has its exit code', function()
  t.equal(fail.code_of(caught(fail.usage, 'x')), 2)
  t.equal(fail.code_of(caught(fail.config, 'x')), 3)
  t.equal(fail.code_of(caught(fail.data, 'x')), 4)
  t.equal(fail.code_of(caught(error, 'x')), 1)
  t.equal(fail.code_of(nil), 1)
end)

t.test('a message begins with the file and line of the user', function()
  local err = caught(function() fail.config('bad %s', 'thing') end)
  t.matches(err, '^[^\n]*fail_test%.lua:%d+: bad thing$')
end)

t.test('an error behaves like its text', function()
  local err = caught(function() fail.data('no file') end)
  t.equal(err:match('no (%a+)'), 'file')
  t.equal(('<' .. err .. '>'):sub(-8), 'no file>')
  t.equal(err:upper():sub(-4), 'FILE')
  t.is_true(fail.is(err))
  t.is_false(fail.is('no file'))
end)

t.test('a percent sign without arguments is kept', function()
  t.matches(caught(fail.usage, '50% of %d'), '50%% of %%d$')
end)

t.test('native code finds the same metatable in the registry', function()
  local made = setmetatable({ message = 'from C++', code = 6 }, debug.getregistry()['lanthorn.error'])
  t.equal(tostring(made), 'from C++')
  t.equal(fail.code_of(made), 6)
end)

t.test('the position can be taken off again', function()
  local err = caught(function() fail.config('plain') end)
  t.equal(tostring(fail.without_position(err)), 'plain')
end)
