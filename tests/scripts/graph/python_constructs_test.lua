-- What each construct of Python gives: the triples of hand-made files, all of them and in order.
local files = require 'files'
local kg_from_python = require 'graph.python_kg'
local t = require 'testing'

-- The triples of a file m.py with that text, a line each.
local function facts_of(text)
  local folder, lines = t.temporary_folder(), {}
  files.write(folder .. '/m.py', text)
  for i, one in ipairs(kg_from_python(folder).triples) do
    lines[i] = ('%s %s %s'):format(one.head, one.relation, one.tail)
  end
  return lines
end

local function gives(text, expected)
  local lines = {}
  for line in expected:gmatch '[^\n]+' do lines[#lines + 1] = line:match '^%s*(.-)$' end
  t.equal(facts_of(text), lines)
end

t.test('imports are facts of the module', function()
  gives([[
import os
import os.path, numpy as np
from collections import OrderedDict, deque
from .near import x
from ..far.away import y
from . import left, right
def f():
    import late
]], [[
    m imports os
    m imports os.path
    m imports numpy
    m imports collections
    m imports near
    m imports far.away
    m imports left
    m imports right
    m.py defines f
    m.py contains f
    m imports late]])
end)

t.test('classes are defined by their file, inherit, and declare their methods', function()
  gives([[
class Plain: pass
@dataclass
class C(Base, pkg.Mixin, Generic[T], metaclass=Meta):
    class Inner:
        def deep(self): pass
    async def go(self): pass
]], [[
    m.py defines m.Plain
    m.py contains m.Plain
    m.py defines m.C
    m.py contains m.C
    m.C inherits_from Base
    m.C inherits_from pkg.Mixin
    m.C inherits_from Generic
    m.C annotated_with dataclass
    m.py defines m.C.Inner
    m.py contains m.C.Inner
    C.Inner declares C.Inner.deep
    C.Inner contains C.Inner.deep
    C declares C.go
    C contains C.go]])
end)

t.test('functions have return types and decorators, and those within have their path', function()
  gives([[
@functools.wraps(make(1))
@property
def f(a=default()) -> list[int]:
    def g() -> "int | None": pass
    class Local:
        def h(self) -> None: pass
]], [[
    m.py defines f
    m.py contains f
    f returns type::list
    f annotated_with functools.wraps
    m calls make
    f annotated_with property
    m calls default
    m.py defines f.g
    m.py contains f.g
    f.g returns type::int
    f.g returns type::None
    m.py defines m.f.Local
    m.py contains m.f.Local
    f.Local declares f.Local.h
    f.Local contains f.Local.h
    f.Local.h returns type::None]])
end)

t.test('calls are calls or instantiations, and of an api where their module is imported', function()
  gives([[
import os, numpy as np
from json import loads
start()
class C:
    field = make_field()
    def m(self):
        self.helper(Thing(1))
        os.path.join(a, b)
        np.Array()
        loads(x)
        pkg._Private()
        ', '.join(x)
        f(1).then.done()
        (lambda: inner())()
        table[0]()
]], [[
    m imports os
    m imports numpy
    m imports json
    m calls start
    m.py defines m.C
    m.py contains m.C
    C calls make_field
    C declares C.m
    C contains C.m
    C.m calls self.helper
    C.m instantiates Thing
    C.m calls os.path.join
    C.m invokes api::os.path.join
    C.m instantiates np.Array
    C.m invokes api::np.Array
    C.m calls loads
    C.m instantiates pkg._Private
    C.m calls join
    C.m calls then.done
    C.m calls f
    C.m calls inner]])
end)

t.test('what test functions call is tested', function()
  gives([[
def test_area():
    area(Circle(1))
class T:
    def test_it(self): go()
    def other(self): go()
]], [[
    m.py defines test_area
    m.py contains test_area
    test_area calls area
    test_area tests area
    test_area instantiates Circle
    test_area tests Circle
    m.py defines m.T
    m.py contains m.T
    T declares T.test_it
    T contains T.test_it
    T.test_it calls go
    T.test_it tests go
    T declares T.other
    T contains T.other
    T.other calls go]])
end)

t.test('returned expressions are names, types of literals, or some value', function()
  local names = { { 'x', 'x' }, { 'self.x', 'self.x' }, { 'make(1)', 'make' }, { '1', 'int' }, { '"s"', 'str' },
    { 'f"{x}"', 'str' }, { 'None', 'None' }, { 'True', 'bool' }, { '[1]', 'list' }, { '{}', 'dict' },
    { '1, 2', 'tuple' }, { '{1}', 'set' }, { '[i for i in x]', 'list' }, { 'a + b', '<value>' },
    { 'x[0]', '<value>' }, { 'not x', '<value>' }, { 'lambda: 1', 'function' } }
  for _, case in ipairs(names) do
    t.equal(facts_of('def f():\n    return ' .. case[1] .. '\n')[3], 'f returns type::' .. case[2], case[1])
  end
  gives('def f():\n    return\nasync def g():\n    return await h()\n', [[
    m.py defines f
    m.py contains f
    m.py defines g
    m.py contains g
    g returns type::h
    g calls h]])
end)

t.test('exceptions are raised and caught', function()
  gives([[
def f():
    try: pass
    except ValueError: raise
    except (KeyError, mod.Broken) as e: raise e
    except: raise mod.Failed("x") from None
try: pass
except* OSError: raise Stop
]], [[
    m.py defines f
    m.py contains f
    f catches ValueError
    f catches KeyError
    f catches mod.Broken
    f raises e
    f catches BaseException
    f raises mod.Failed
    f instantiates mod.Failed
    m catches OSError
    m raises Stop]])
end)
