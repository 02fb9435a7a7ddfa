-- Files of triples and of code: read, written, and every way in which a line can be wrong.
local code = require 'graph.code'
local fail = require 'fail'
local files = require 'files'
local t = require 'testing'
local triples = require 'graph.triples'

local GOOD = '{"head": "a", "relation": "calls", "tail": "b"}\n'

local function refused(read, text, pattern)
  local path = t.write_file(text, '.jsonl')
  local err = t.error_matches(function() read(path) end, pattern)
  t.equal(fail.code_of(err), 4)
  t.contains(err, "'" .. path .. "'")
end

t.test('triples come in the order of the file, blank lines passed over', function()
  local path = t.write_file(GOOD .. '\n  \r\n{"tail":"x.y","head":"ü","relation":"r","qualifiers":{"file":"f.py"}}\r\n',
    '.jsonl')
  t.equal(triples.read(path), { { head = 'a', relation = 'calls', tail = 'b' },
    { head = 'ü', relation = 'r', tail = 'x.y', qualifiers = { file = 'f.py' } } })
end)

t.test('what is written is read back, the same bytes every time', function()
  local path = t.temporary_path()
  local list = { { head = 'b', relation = 'r', tail = 'c', qualifiers = { module = 'm', file = 'f' } },
    { head = 'a', relation = 'r', tail = 'quote " and\nline' } }
  triples.write(path, list)
  t.equal(triples.read(path), list)
  t.equal(files.read(path), '{"head":"b","qualifiers":{"file":"f","module":"m"},"relation":"r","tail":"c"}\n'
    .. '{"head":"a","relation":"r","tail":"quote \\" and\\nline"}\n')
  code.write(path, { b = 'x = 1\n', a = 'y' })
  t.equal(files.read(path), '{"code":"y","entity":"a"}\n{"code":"x = 1\\n","entity":"b"}\n')
  t.equal(code.read(path), { a = 'y', b = 'x = 1\n' })
  os.remove(path)
end)

t.test('a bad line of triples is named with what is wrong', function()
  local function bad(line, pattern)
    refused(triples.read, GOOD .. '\n' .. line .. '\n' .. GOOD, 'line 3: ' .. pattern)
  end
  bad('{"head": "a", ', 'not one JSON object .*expected a line such as {"head"')
  bad('nothing', 'not one JSON object %(no valid JSON value at column 1')
  bad('["a", "calls", "b"]', 'not one JSON object %(it is no object%)')
  bad('"a"', 'not one JSON object')
  bad(GOOD:gsub('\n', '') .. ' {}', 'not one JSON object %(extra text at column 49%)')
  bad('{"head": "a", "relation": "calls"}', "field 'tail' must be a text that is not empty, but there is none")
  bad('{"head": "", "relation": "calls", "tail": "b"}', "field 'head' must be .* but it is empty")
  bad('{"head": " ", "relation": "calls", "tail": "b"}', "field 'head' must be .* but it is empty")
  bad('{"head": "a", "relation": 7, "tail": "b"}', "field 'relation' must be .* but it is a number")
  bad('{"head": "a", "relation": null, "tail": "b"}', "field 'relation' must be .* but it is null")
  bad('{"head": "a", "relation": "r", "tail": "b", "qualifier": {}}',
    "field 'qualifier' is not known; nearest: qualifiers")
  for _, value in ipairs { '"x"', 'null', '["x"]', '7' } do
    bad('{"head": "a", "relation": "r", "tail": "b", "qualifiers": ' .. value .. '}',
      "field 'qualifiers' must be an object of named values")
  end
end)

t.test('a file without a line is told, and so is one that is not there', function()
  refused(triples.read, '', 'is empty; expected lines such as {"head"')
  refused(triples.read, '\n \n', 'is empty')
  refused(code.read, '', 'is empty; expected lines such as {"entity"')
  local err = t.error_matches(function() triples.read '/nowhere/triples.jsonl' end, '/nowhere/triples.jsonl')
  t.equal(fail.code_of(err), 4)
end)

t.test('an entity may come twice with the same code, never with two', function()
  local line = '{"entity": "f", "code": "x"}\n'
  t.equal(code.read(t.write_file(line .. line, '.jsonl')), { f = 'x' })
  refused(code.read, line .. '\n{"entity": "f", "code": "y"}\n', "line 3: entity 'f' has other code on line 1")
  refused(code.read, line .. '{"entity": "g"}\n', "line 2: field 'code' must be")
  refused(code.read, '{"entity": "g", "code": ""}\n', "line 1: field 'code' must be .* it is empty")
end)

t.test('thirty thousand triples are read in seconds', function()
  local lines = {}
  for i = 1, 30000 do
    lines[i] = ('{"head": "m%d.C", "relation": "calls", "tail": "os.path.f%d", "qualifiers": {"file": "m%d.py", '
      .. '"language": "python", "module": "m", "head_type": "method", "tail_type": "function"}}'):format(i % 300, i, i)
  end
  local path = t.write_file(table.concat(lines, '\n'), '.jsonl')
  local began = os.clock()
  t.equal(#triples.read(path), 30000)
  t.is_true(os.clock() - began < 10, os.clock() - began .. ' s') -- 0.3 s here; a slow machine decides no test
end)
