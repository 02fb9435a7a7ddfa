-- The source code of entities. As a file one JSON object a line: {"entity": ..., "code": ...}.
local fail = require 'fail'
local files = require 'files'
local json_lines = require 'graph.json_lines'

local code = {}

local LAYOUT = {
  texts = { 'entity', 'code' },
  example = '{"entity": "area", "code": "def area(r):\\n    return 3.14 * r * r"}',
}

---What entities look like. The same line twice is fine; an entity with two codes is an error (exit 4), since no one
---could say which of them its triples are about.
---@param path string
---@return table<string, string> code by entity
function code.read(path)
  local records, numbers = json_lines.read(path, LAYOUT)
  local found, line_of = {}, {}
  for i, record in ipairs(records) do
    local entity = record.entity
    if found[entity] and found[entity] ~= record.code then
      fail.data("'%s' line %d: entity '%s' has other code on line %d; an entity has one code, leave one line out", path,
        numbers[i], entity, line_of[entity])
    end
    found[entity], line_of[entity] = record.code, line_of[entity] or numbers[i]
  end
  return found
end

---The text of such a file, entities sorted.
---@param known table<string, string> code by entity
---@return string
function code.text(known)
  local records = {}
  for entity, text in pairs(known) do records[#records + 1] = { entity = entity, code = text } end
  table.sort(records, function(a, b) return a.entity < b.entity end)
  return json_lines.text(records)
end

---Writes a file of code, whole or not at all.
---@param path string
---@param known table<string, string> code by entity
function code.write(path, known)
  files.write(path, code.text(known))
end

return code
