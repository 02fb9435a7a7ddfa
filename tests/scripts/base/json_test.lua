-- JSON and files for scripts.
local fail = require 'fail'
local files = require 'files'
local host = require 'host'
local json = require 'json'
local t = require 'testing'

local folder = t.temporary_folder()

local function refused(f, pattern, code)
  local ok, err = pcall(f)
  t.is_false(ok)
  t.contains(tostring(err), pattern)
  t.equal(fail.code_of(err), code or 4)
end

t.test('numbers keep every bit, in both directions', function()
  for _, number in ipairs { 0.1 + 0.2, 1 / 3, 2 ^ 53, 2 ^ 53 - 1, 1e-300, 123456789012345680, -0.5, 5e-324,
    1.7976931348623157e308 } do
    t.equal(json.decode(json.encode(number)), number)
    t.equal(json.decode(json.encode { x = { number } }).x[1], number)
  end
  t.equal(json.encode(2 ^ 53), '9007199254740992')
  t.equal(json.encode(0.5), '0.5')
end)

t.test('lists, objects, nulls and text come through', function()
  t.equal(json.encode { b = 1, a = { 1, 2 }, c = 'für "x"\n' }, '{"a":[1,2],"b":1,"c":"für \\"x\\"\\n"}')
  t.equal(json.encode(json.array {}), '[]')
  t.equal(json.encode {}, '{}')
  t.equal(json.encode { json.null, true }, '[null,true]')
  local value = json.decode '{"a": [1, null, {"b": false}], "c": ""}'
  t.equal(value.a[2], json.null)
  t.equal(value.a[1], 1)
  t.equal(value.a[3].b, false)
  t.equal(value.c, '')
  t.contains(json.encode({ a = { 1 } }, { indent = true }), '\n')
end)

t.test('what JSON cannot hold is named with its place', function()
  refused(function() json.encode { a = { 1, 0 / 0 } } end, "'a[2]' is nan")
  refused(function() json.encode { a = { b = math.huge } } end, "'a.b' is inf")
  refused(function() json.encode { f = print } end, "'f' is a function")
  refused(function() json.encode { 1, 2, x = 3 } end, 'the value has both list items and named fields')
  refused(function() json.encode { a = { [1.5] = 2 } } end, "'a' has the key 1.5")
  refused(function() json.encode { 'caf\xe9' } end, "'[1]' is text that is not UTF-8")
  local own = {}
  own.own = own
  refused(function() json.encode(own) end, 'or holds itself')
end)

t.test('text that is not JSON is told with line and column', function()
  refused(function() json.decode '{"a": 1,\n "b": }' end, 'json: the text, line 2, column')
  refused(function() json.decode '' end, 'line 1, column 1')
  refused(function() json.decode '[1] 2' end, 'line 1, column 5: extra text after the value')
  refused(function() json.read(folder .. '/none.json') end, 'none.json')
end)

t.test('files are written whole, and read as they are', function()
  local path = folder .. '/a.json'
  json.write(path, { x = { 1, 2.5 } })
  t.equal(json.read(path), { x = { 1, 2.5 } })
  refused(function() json.write(path, { x = print }) end, "'x' is a function")
  t.equal(json.read(path), { x = { 1, 2.5 } })
  refused(function() files.write('/dev/null/x', 'y') end, '/dev/null/x', 9)
  refused(function() files.read(folder) end, 'is a folder')
  files.write(folder .. '/z.txt', 'a\0b\r\n')
  t.equal(files.read(folder .. '/z.txt'), 'a\0b\r\n')
end)

t.test('folders are listed in order, by pattern', function()
  host.mkdir(folder .. '/inner')
  t.shell(('ln -s nowhere %s/link; touch %s/.hidden'):format(folder, folder))
  local names = {}
  for i, entry in ipairs(files.list(folder)) do names[i] = entry.name .. ' ' .. entry.type end
  t.equal(names, { 'a.json file', 'inner dir', 'link link', 'z.txt file' })
  t.equal(#files.list(folder .. '/', '%.txt$'), 1)
  t.equal(files.list(folder, '%.txt$')[1].size, 5)
  refused(function() files.list(folder .. '/none') end, 'none')
  t.equal(files.type(folder), 'dir')
  t.equal(files.type(folder .. '/none'), nil)
end)

t.test('UTF-8 is told from other bytes', function()
  for _, text in ipairs { '', 'abc', 'für ☾ 😀', '\0\127' } do t.is_true(files.is_utf8(text), text) end
  for _, text in ipairs { '\xe9', 'a\xc3', '\xff', '\x80', '\xc0\xaf', '\xf5\x80\x80\x80', '\xe2\x28\xa1' } do
    t.is_false(files.is_utf8(text))
  end
end)
