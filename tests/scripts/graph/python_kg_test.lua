-- The knowledge graph of a folder of Python files: what is left out, how entities look, manifest and errors.
local fail = require 'fail'
local files = require 'files'
local host = require 'host'
local json = require 'json'
local kg_from_python = require 'graph.python_kg'
local t = require 'testing'
local triples = require 'graph.triples'

-- A folder with these files: path -> text.
local function folder_of(texts)
  local folder = t.temporary_folder()
  for path, text in pairs(texts) do
    local parent = path:match '^(.*)/'
    if parent then assert(files.make_folder(folder .. '/' .. parent)) end
    files.write(folder .. '/' .. path, text)
  end
  return folder
end

local function facts(list)
  local lines = {}
  for i, one in ipairs(list) do lines[i] = ('%s %s %s'):format(one.head, one.relation, one.tail) end
  return lines
end

t.test('a fact is stated once, and what has no name is counted', function()
  local graph = kg_from_python(folder_of {
    ['a.py'] = 'def main():\n    run()\n    run()\n    f()()\n    raise errors[0]\nclass D(make()): pass\n',
    ['b.py'] = 'from . import *\ndef main():\n    run()\n' })
  t.equal(facts(graph.triples), { 'a.py defines main', 'a.py contains main', 'main calls run', 'main calls f',
    'a.py defines a.D', 'a.py contains a.D', 'a calls make', 'b.py defines main', 'b.py contains main' })
  t.equal(graph.manifest.duplicates, 2)
  t.equal(graph.manifest.unnamed, { calls = 1, raises = 1, inherits_from = 1, imports = 1 })
end)

t.test('a triple says where it comes from and of which types it is', function()
  local graph = kg_from_python(folder_of { ['pkg/shapes.py'] = [[
import math
@final
class Circle(Shape, thing):
    def area(self) -> float:
        if self.r < 0: raise problem
        return math.tan(Point())
]] })
  local types = {}
  for i, one in ipairs(graph.triples) do
    local q = one.qualifiers
    t.fields(q, { language = 'python', file = 'pkg/shapes.py', module = 'shapes' })
    types[i] = ('%s %s %s'):format(q.head_type, one.relation, q.tail_type)
  end
  t.equal(types, { 'module imports module', 'file defines class', 'file contains class', 'class inherits_from class',
    'class inherits_from value', 'class annotated_with decorator', 'class declares method', 'class contains method',
    'method returns type', 'method raises value', 'method returns type', 'method calls function', 'method invokes api',
    'method instantiates class' })
end)

t.test('an entity looks like its lines, with decorators and without indentation', function()
  local graph = kg_from_python(folder_of {
    ['a.py'] = '\239\187\191"""First.\n\nMore."""\r\nimport os\nfrom x import (a,\n    b)\n\nclass C:\n    """ü"""\n'
      .. '    @staticmethod\n    def m(x):\n        return x\n\ndef f(): pass\n',
    ['b.py'] = 'def f(): return 1\nfor f in (): pass\ndef f(): pass\n' })
  local class = 'class C:\n    """ü"""\n    @staticmethod\n    def m(x):\n        return x'
  t.equal(graph.code, { a = '"""First."""\nimport os\nfrom x import (a,\n    b)', ['a.C'] = class, C = class,
    ['C.m'] = '@staticmethod\ndef m(x):\n    return x', f = 'def f(): pass' })
  t.fields(graph.manifest, { code = 5, code_left_out = 1 })
end)

t.test('files that are left out are listed with the reason, the others come in the order of their paths', function()
  local folder = folder_of {
    ['b.py'] = 'import b', ['a/z.py'] = 'import z', ['a.py'] = 'import a', ['c/d.py'] = 'import d',
    ['test_x.py'] = 'import no', ['a/test_y.py'] = '', ['__pycache__/c.py'] = '', ['.git/h.py'] = '', ['.x.py'] = '',
    ['broken.py'] = 'def f(:\n', ['zero.py'] = 'x = "\0"\n', ['latin.py'] = '# \228\nimport no\n',
    ['deep.py'] = 'x = ' .. ('-'):rep(3000) .. '1\n', ['fits.py'] = ('#'):rep(4000), ['notes.txt'] = 'no',
    ['large.py'] = ('#'):rep(4001) }
  t.shell(('cd %s && ln -s b.py link.py && ln -s . again'):format(folder))
  local made = kg_from_python(folder, { max_bytes = 4000 }).manifest
  t.equal(made.skipped, {
    test = { count = 2, paths = { 'a/test_y.py', 'test_x.py' } }, cache = { count = 1, paths = { '__pycache__/' } },
    hidden = { count = 2, paths = { '.git/', '.x.py' } }, link = { count = 2, paths = { 'again/', 'link.py' } },
    too_large = { count = 1, paths = { 'large.py' } }, syntax = { count = 2, paths = { 'broken.py', 'zero.py' } },
    not_utf8 = { count = 1, paths = { 'latin.py' } }, too_deep = { count = 1, paths = { 'deep.py' } } })
  local paths = {}
  for i, file in ipairs(made.files) do paths[i] = file.path end
  t.equal(paths, { 'a.py', 'a/z.py', 'b.py', 'c/d.py', 'fits.py' })
  t.equal(made.files[3], { path = 'b.py', bytes = 8, sha256 = host.sha256 'import b' })
  made = kg_from_python(folder, { max_bytes = 4000, files = 2 }).manifest
  t.equal(#made.files, 2)
  t.fields(made.skipped.beyond_limit, { count = 7 })
  t.equal(made.options, { max_bytes = 4000, files = 2 })
end)

t.test('graph, code and manifest are written, the same bytes every time', function()
  local folder, out = folder_of { ['a.py'] = 'import os\nclass A(b.B): pass\n', ['b.py'] = 'class B(a.A): pass\n' },
    t.temporary_path() .. '/kg'
  local graph = kg_from_python(folder, { out = out })
  t.equal(triples.read(out .. '/triples.jsonl'), graph.triples)
  t.equal(require('graph.code').read(out .. '/code.jsonl'), graph.code)
  t.equal(json.read(out .. '/manifest.json'), graph.manifest)
  t.fields(graph.manifest, { language = 'python', triples = 7, entities = 6, code = 5, duplicates = 0,
    triples_sha256 = host.sha256(files.read(out .. '/triples.jsonl')),
    code_sha256 = host.sha256(files.read(out .. '/code.jsonl')),
    relations = { imports = 1, defines = 2, contains = 2, inherits_from = 2 } })
  t.matches(graph.manifest.python, '^3%.%d+')
  t.fields(graph.manifest.ontology, { fit = 7, share_fit = 1, acyclic = false, cycle = { 'a.A', 'b.B', 'a.A' } })
  local first = files.read(out .. '/manifest.json')
  kg_from_python(folder, { out = out })
  t.equal(files.read(out .. '/manifest.json'), first)
  t.equal(#host.listdir(out), 3)
  t.shell('rm -r ' .. out:match '^(.*)/')
end)

t.test('names of files are never words of a shell or of Python', function()
  local odd = "a b'; touch x $(touch y) \" -c.py"
  local folder = folder_of { ["it's $HOME/" .. odd] = 'import os\n' }
  local graph = kg_from_python(folder)
  t.equal(graph.triples[1].head, odd:sub(1, -4))
  t.equal(#host.listdir(folder), 1)
end)

t.test('a folder without Python files, or none at all, is exit 4, an unknown option exit 3', function()
  local folder = folder_of { ['notes.txt'] = 'no', ['test_a.py'] = '', ['.b.py'] = '' }
  local function refused(code, pattern, ...)
    local words = { ... }
    local err = t.error_matches(function() kg_from_python(unpack(words)) end, pattern)
    t.equal(fail.code_of(err), code)
  end
  refused(4, "kg_from_python: '" .. folder .. "' holds no Python file to read; left out: 1 hidden, 1 test", folder)
  refused(4, "'/nowhere' is not there; expected a folder", '/nowhere')
  refused(4, "notes.txt' is a file; expected a folder", folder .. '/notes.txt')
  files.write(folder .. '/empty.py', 'x = 1\n')
  files.write(folder .. '/broken.py', 'def')
  refused(4, 'give no triples; files read: 1, left out: 1 hidden, 1 syntax, 1 test', folder)
  refused(3, "unknown option 'file'; nearest: files", folder, { file = 3 })
  refused(3, "'files' must be at least 1", folder, { files = 0 })
end)

t.test('without python3 it is exit 9 and says how to install it', function()
  local folder, path = folder_of { ['a.py'] = 'import os\n' }, host.getenv 'PATH'
  host.setenv('PATH', t.temporary_folder())
  local ok, err = pcall(kg_from_python, folder)
  host.setenv('PATH', path)
  t.is_false(ok)
  t.equal(fail.code_of(err), 9)
  t.contains(err, 'kg_from_python: python3 is not installed; on Debian: apt-get install python3')
end)
