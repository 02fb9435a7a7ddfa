-- Triples against the ontology: types that fit, and circles of inheritance.
local ontology = require 'graph.ontology'
local t = require 'testing'

local function typed(head, relation, tail, head_type, tail_type)
  local types = { head_type = head_type, tail_type = tail_type }
  return { head = head, relation = relation, tail = tail, qualifiers = types }
end

t.test('triples fit when their types are those of the relation; the others are counted by what is wrong', function()
  local report = ontology.check { typed('m', 'imports', 'os', 'module', 'module'),
    typed('f', 'raises', 'e', 'function', 'value'), typed('f', 'raises', 'g', 'function', 'value'),
    typed('f', 'declares', 'm', 'function', 'method'), typed('f', 'loves', 'g', 'function', 'function'),
    { head = 'f', relation = 'calls', tail = 'g' }, typed('f', 'calls', 'g', nil, 'function'),
    typed('f', 'calls', 'g', 'function', 'function') }
  t.equal(report, { fit = 2, share_fit = 0.25, acyclic = true, problems = {
    tail_type = { count = 2, example = '(f, raises, e)' }, head_type = { count = 1, example = '(f, declares, m)' },
    relation_not_known = { count = 1, example = '(f, loves, g)' },
    type_not_known = { count = 2, example = '(f, calls, g)' } } })
end)

t.test('a circle of inheritance is told with all that are in it', function()
  local function circle_of(...)
    local list = {}
    for i = 1, select('#', ...) do
      local head, tail = (select(i, ...)):match '^(%S+) (%S+)$'
      list[i] = { head = head, relation = 'inherits_from', tail = tail }
    end
    list[#list + 1] = { head = 'z', relation = 'calls', tail = 'z' }
    local report = ontology.check(list)
    t.equal(report.acyclic, report.cycle == nil)
    return report.cycle
  end
  t.equal(circle_of('a b', 'a c', 'b d', 'c d'), nil)
  t.equal(circle_of('x a', 'a b', 'b c', 'd b', 'c a'), { 'a', 'b', 'c', 'a' })
  t.equal(circle_of('a b', 'c c'), { 'c', 'c' })
  local list = {}
  for i = 1, 20000 do list[i] = { head = 'n' .. i, relation = 'inherits_from', tail = 'n' .. i + 1 } end
  t.equal(ontology.check(list).acyclic, true)
  list[#list + 1] = { head = 'n20001', relation = 'inherits_from', tail = 'n1' }
  t.equal(#ontology.check(list).cycle, 20002)
end)
