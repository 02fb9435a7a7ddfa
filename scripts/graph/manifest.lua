-- What is in a knowledge graph and what it was made from: manifest.json beside its triples.
local host = require 'host'
local ontology = require 'graph.ontology'
local pretty = require 'pretty'

local manifest = {}

---@class GraphManifest
---@field language string
---@field python string the version whose parser read the files
---@field options { max_bytes: integer, files: integer? }
---@field files { path: string, bytes: integer, sha256: string }[] those that were read
---@field skipped table<string, { count: integer, paths: string[] }> those that were not, by reason
---@field triples integer
---@field triples_sha256 string of triples.jsonl
---@field duplicates integer triples that stated what another states too, left out
---@field unnamed table<string, integer> by relation: constructs without a name, such as the call f()(), left out
---@field relations table<string, integer> triples by relation
---@field entities integer different heads and tails
---@field code integer entities with code
---@field code_sha256 string of code.jsonl
---@field code_left_out integer other codes of an entity that has one: definitions that share its name
---@field ontology OntologyReport

---Reasons and how many files each, as words.
---@param skipped SkippedFiles
---@return string
function manifest.describe(skipped)
  local parts = {}
  for _, reason in ipairs(pretty.sorted_keys(skipped)) do
    parts[#parts + 1] = ('%d %s'):format(#skipped[reason], reason)
  end
  return #parts > 0 and table.concat(parts, ', ') or 'nothing'
end

local function size_of(set)
  local count = 0
  for _ in pairs(set) do count = count + 1 end
  return count
end

---The manifest of a graph.
---@param graph { triples: Triple[], code: table<string, string>, counts: table }
---@param made { python: string, files: table[], skipped: SkippedFiles, options: table } how it was made
---@param texts { triples: string, code: string } its files
---@return GraphManifest
function manifest.of(graph, made, texts)
  local skipped, relations, entities = {}, {}, {}
  for reason, paths in pairs(made.skipped) do
    table.sort(paths)
    skipped[reason] = { count = #paths, paths = paths }
  end
  for _, triple in ipairs(graph.triples) do
    relations[triple.relation] = (relations[triple.relation] or 0) + 1
    entities[triple.head], entities[triple.tail] = true, true
  end
  return { language = 'python', python = made.python, files = made.files, skipped = skipped,
    options = { max_bytes = made.options.max_bytes, files = made.options.files },
    triples = #graph.triples, triples_sha256 = host.sha256(texts.triples), relations = relations,
    duplicates = graph.counts.duplicates, unnamed = graph.counts.unnamed, entities = size_of(entities),
    code = size_of(graph.code), code_sha256 = host.sha256(texts.code), code_left_out = graph.counts.code_left_out,
    ontology = ontology.check(graph.triples) }
end

return manifest
