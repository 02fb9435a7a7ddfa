local api_docs = require 'reference.docs'
local api_stubs = require 'reference.stubs'
local signature = require 'reference.signature'
local t = require 'testing'

t.test('schema types become LuaCATS types', function()
  local cases = { Tensor = 'Tensor', ['Tensor(a!)'] = 'Tensor', ['int[2]'] = 'integer[]', ['int[]?'] = 'integer[]|nil',
    ['Tensor?[]'] = 'Tensor[]', ['bool?'] = 'boolean|nil', Scalar = 'number|Tensor', Tokenizer = 'Tokenizer',
    ['Tensor(a)[]'] = 'Tensor[]', ['float'] = 'number' }
  for schema, wanted in pairs(cases) do t.equal(api_stubs.type_of(schema), wanted) end
end)

t.test('a schema is parsed with defaults, keywords and several results', function()
  local schema = 'topk(Tensor self, int k=3, *, str mode="a, b", int[2] pad=[0, 0]) -> (Tensor values, int)'
  local arguments, results = signature.parse(schema)
  t.equal(#arguments, 4)
  t.equal(arguments[2], { type = 'int', name = 'k', default = '3', keyword = false })
  t.equal(arguments[3], { type = 'str', name = 'mode', default = '"a, b"', keyword = true })
  t.equal(arguments[4].default, '[0, 0]')
  t.equal(results, { 'Tensor', 'int' })
  t.equal(select(2, signature.parse('f() -> ()')), {})
  t.equal(signature.parse('not a schema'), nil)
end)

t.test('stubs compile as Lua and declare their tables', function()
  local text = api_stubs.render {
    { name = 'torch.sum', signature = 'sum(Tensor self, int end=1) -> Tensor', doc = 'Adds\nup.' },
    { name = 'Tensor:mul', signature = 'mul(Tensor self, Tensor other) -> Tensor', doc = '' },
    { name = 'torch.odd', signature = '???', doc = '' } }
  t.contains(text, '---@class torch\ntorch = {}')
  t.contains(text, '---@param end_? integer default 1')
  t.contains(text, 'function Tensor:mul(other) end')
  t.is_true(loadstring(text) ~= nil, 'compiles')
end)

t.test('doc comments of library functions become rows', function()
  local source = '---Adds.\n---@param a number first\n---@return number\nfunction m.add(a)\nend\nfunction m.other() end'
  local rows = api_docs.of_source(source, 'mod')
  t.equal(#rows, 1)
  t.fields(rows[1], { name = 'mod.add', signature = 'mod.add(a) -> number', doc = 'Adds.' })
end)

t.test('a tag over several lines is one tag', function()
  local source = '---Adds.\n---@param a { x: integer,\n---y: { z: string } }\n---@return number\nfunction m.add(a)\nend'
  local row = api_docs.of_source(source, 'mod')[1]
  t.fields(row, { doc = 'Adds.', signature = 'mod.add(a) -> number' })
  t.equal(row.lua.params, { 'a { x: integer, y: { z: string } }' })
end)

t.test('one name is explained, a module lists its signatures, and what is unknown has its nearest', function()
  local output, code = t.runner('api', 'nn.GRU')
  t.equal(code, 0, output)
  t.contains(output, 'nn.GRU(')
  t.equal(output:find('{"module"', 1, true), nil)
  output, code = t.runner('api', 'optim')
  t.equal(code, 0, output)
  t.contains(output, 'optim.AdamW(')
  output, code = t.runner('api', 'nn.GRUU')
  t.equal(code, 2, output)
  t.contains(output, "api: there is nothing called 'nn.GRUU'")
  t.contains(output, "nearest: nn.GRU")
  t.contains(t.runner('api', 'plasticity'), 'lists all')
  output, code = t.runner('api', 'nn.GRU', '--json')
  t.equal(code, 0, output)
  t.fields(require('json').decode(output), { module = 'nn', name = 'nn.GRU' })
  output, code = t.runner('api', 'torch.gru', '--json')
  t.equal(code, 0, output)
  t.contains(output, '"torch.gru(Tensor input')
  t.equal(select(2, t.runner('api', 'nn.GRU', '--md')), 2)
end)

t.test('rows of the library are sorted and the same every time', function()
  local output, code = t.runner('api', '--library', '--stubs')
  t.equal(code, 0, output)
  t.equal(output, (t.runner('api', '--library', '--stubs')))
  t.is_true(loadstring(output) ~= nil, 'compiles')
end)
