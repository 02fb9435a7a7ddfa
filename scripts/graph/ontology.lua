-- What a triple may state: which types of entity a relation has as head and as tail, and that no class inherits from
-- itself. Types are the qualifiers head_type and tail_type of a triple.
local ontology = {}

local SCOPES = { 'module', 'class', 'function', 'method' } -- where statements stand

---Relation -> the types of its heads and of its tails. "value" is none of them: it is the type of a name that stands
---where a class or an exception is meant and looks like a variable.
---@type table<string, { head: string[], tail: string[] }>
ontology.relations = {
  imports = { head = { 'module' }, tail = { 'module' } },
  defines = { head = { 'file' }, tail = { 'class', 'function' } },
  contains = { head = { 'file', 'class' }, tail = { 'class', 'function', 'method' } },
  declares = { head = { 'class' }, tail = { 'method' } },
  inherits_from = { head = { 'class' }, tail = { 'class' } },
  annotated_with = { head = { 'class', 'function', 'method' }, tail = { 'decorator' } },
  returns = { head = { 'function', 'method' }, tail = { 'type' } },
  calls = { head = SCOPES, tail = { 'function', 'method' } },
  instantiates = { head = SCOPES, tail = { 'class' } },
  invokes = { head = SCOPES, tail = { 'api' } },
  tests = { head = { 'function', 'method' }, tail = { 'function', 'method', 'class' } },
  raises = { head = SCOPES, tail = { 'exception' } },
  catches = { head = SCOPES, tail = { 'exception' } },
}

local function holds(list, value)
  for _, item in ipairs(list) do
    if item == value then return true end
  end
  return false
end

-- Why a triple does not fit; nil: it fits.
local function problem_of(triple)
  local row, qualifiers = ontology.relations[triple.relation], triple.qualifiers or {}
  if not row then return 'relation_not_known' end
  if not qualifiers.head_type or not qualifiers.tail_type then return 'type_not_known' end
  if not holds(row.head, qualifiers.head_type) then return 'head_type' end
  if not holds(row.tail, qualifiers.tail_type) then return 'tail_type' end
  return nil
end

---@class OntologyReport
---@field fit integer triples whose types are those of their relation
---@field share_fit number of all triples; 0 where there is none
---@field problems table<string, { count: integer, example: string }> of the others: 'relation_not_known',
---'type_not_known' (a triple says no type), 'head_type' and 'tail_type' (one that the relation does not have)
---@field acyclic boolean whether inherits_from leads from no class back to it
---@field cycle string[]? the first class twice, with those between

---The first circle of a relation, from a name back to it; nil when there is none.
---@param triples Triple[]
---@param relation string
---@return string[]?
function ontology.cycle(triples, relation)
  local tails, order, state = {}, {}, {}
  for _, triple in ipairs(triples) do
    if triple.relation == relation then
      if not tails[triple.head] then tails[triple.head], order[#order + 1] = {}, triple.head end
      table.insert(tails[triple.head], triple.tail)
    end
  end
  for _, start in ipairs(order) do
    local path, at = { start }, { 0 } -- a walk in depth, with its own stack: a chain may be longer than Lua's
    state[start] = state[start] or 'open'
    while #path > 0 and state[start] ~= 'done' do
      local name = path[#path]
      at[#path] = at[#path] + 1
      local next_name = (tails[name] or {})[at[#path]]
      if not next_name then
        state[name], at[#path], path[#path] = 'done', nil, nil
      elseif state[next_name] == 'open' then
        local first = 1
        while path[first] ~= next_name do first = first + 1 end
        local circle = {}
        for i = first, #path do circle[#circle + 1] = path[i] end
        circle[#circle + 1] = next_name
        return circle
      elseif not state[next_name] then
        path[#path + 1], at[#path + 1], state[next_name] = next_name, 0, 'open'
      end
    end
  end
  return nil
end

---How well triples fit.
---@param triples Triple[]
---@return OntologyReport
function ontology.check(triples)
  local report = { fit = 0, problems = {} }
  for _, triple in ipairs(triples) do
    local problem = problem_of(triple)
    if problem then
      local row = report.problems[problem]
      if not row then
        row = { count = 0, example = ('(%s, %s, %s)'):format(triple.head, triple.relation, triple.tail) }
        report.problems[problem] = row
      end
      row.count = row.count + 1
    else
      report.fit = report.fit + 1
    end
  end
  report.share_fit = #triples > 0 and report.fit / #triples or 0
  report.cycle = ontology.cycle(triples, 'inherits_from')
  report.acyclic = report.cycle == nil
  return report
end

return ontology
