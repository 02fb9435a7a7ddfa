-- The facts of a knowledge graph: head, relation, tail. As a file one JSON object a line, with qualifiers where there
-- are some: language, file and module of the place, head_type and tail_type (see ontology.lua).
local files = require 'files'
local json_lines = require 'graph.json_lines'

local triples = {}

---@class Triple
---@field head string
---@field relation string
---@field tail string
---@field qualifiers table<string, any>?

local LAYOUT = {
  texts = { 'head', 'relation', 'tail' },
  objects = { 'qualifiers' },
  example = '{"head": "shapes.Circle", "relation": "inherits_from", "tail": "Shape"}',
}

---The triples of a file in its order. Raises (exit 4) with the line of what is no triple.
---@param path string
---@return Triple[]
function triples.read(path)
  return (json_lines.read(path, LAYOUT))
end

---Triples as the text of such a file.
---@param list Triple[]
---@return string
function triples.text(list)
  return json_lines.text(list)
end

---Writes a file of triples, whole or not at all.
---@param path string
---@param list Triple[]
function triples.write(path, list)
  files.write(path, triples.text(list))
end

---A text that two triples share exactly when they state the same fact, whatever their qualifiers.
---@param triple Triple
---@return string
function triples.key(triple)
  return ('%s\0%s\0%s'):format(triple.head, triple.relation, triple.tail)
end

return triples
