-- Numbers of relations: 0 is no relation, the others follow from their names alone, in order. A list of relations that
-- is kept with a model gives the same numbers in every process and for every file.
local fail = require 'fail'

local relations = { none = '<none>' }

---The relations of triples: '<none>' first, then their names sorted. The number of one is its place minus 1.
---@param triples Triple[]
---@return string[]
function relations.of(triples)
  local seen, names = { [relations.none] = true }, {}
  for _, triple in ipairs(triples) do
    if not seen[triple.relation] then seen[triple.relation], names[#names + 1] = true, triple.relation end
  end
  table.sort(names)
  table.insert(names, 1, relations.none)
  return names
end

---The numbers of such a list. Raises (exit 4) unless it begins with '<none>' and holds different names.
---@param list string[]
---@return table<string, integer>
function relations.ids(list)
  local ids = {}
  for i, name in ipairs(list) do
    if (i == 1) ~= (name == relations.none) or ids[name] then
      fail.data("relations: entry %d is '%s'; expected '%s' as the first and different names behind it", i,
        tostring(name), relations.none)
    end
    ids[name] = i - 1
  end
  if #list == 0 then fail.data("relations: the list is empty; expected '%s' as the first", relations.none) end
  return ids
end

return relations
