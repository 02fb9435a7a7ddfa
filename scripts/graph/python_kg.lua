-- kg_from_python: the knowledge graph of a folder of Python files. Which constructs give which triples is told in
-- scripts/graph/README.md.
local code_files = require 'graph.code'
local fail = require 'fail'
local files = require 'files'
local host = require 'host'
local json = require 'json'
local manifest = require 'graph.manifest'
local options = require 'options'
local python_files = require 'graph.python_files'
local read_python = require 'graph.python_reader'
local triples = require 'graph.triples'

local MACHINE_UNFIT = 9

-- A graph grows file by file. A fact that was stated before is a duplicate; of an entity's codes the first one stays.
local function add_triples(graph, path, rows)
  local module = path:match '([^/]*)%.py$'
  for _, row in ipairs(rows) do
    local triple = { head = row[1], relation = row[2], tail = row[3], qualifiers = { language = 'python', file = path,
      module = module, head_type = row[4], tail_type = row[5] } }
    local key = triples.key(triple)
    if graph.stated[key] then
      graph.counts.duplicates = graph.counts.duplicates + 1
    else
      graph.stated[key] = true
      graph.triples[#graph.triples + 1] = triple
    end
  end
end

local function add_code(graph, pairs_of_code)
  for _, pair in ipairs(pairs_of_code) do
    local entity, text = pair[1], pair[2]
    if graph.code[entity] and graph.code[entity] ~= text then
      graph.counts.code_left_out = graph.counts.code_left_out + 1
    else
      graph.code[entity] = text
    end
  end
end

-- The graph of what was read, and the files that it is of; a file with a problem is one more that was skipped.
local function grow(folder, found, facts, skipped)
  local unnamed = {}
  local graph = { triples = {}, code = {}, stated = {},
    counts = { duplicates = 0, code_left_out = 0, unnamed = unnamed } }
  local read = json.array {}
  for i, file in ipairs(found) do
    local fact = facts[i]
    if fact.problem then
      skipped[fact.problem] = skipped[fact.problem] or {}
      table.insert(skipped[fact.problem], file.path)
    else
      local text = files.read(folder .. '/' .. file.path)
      read[#read + 1] = { path = file.path, bytes = #text, sha256 = host.sha256(text) }
      add_triples(graph, file.path, fact.triples)
      add_code(graph, fact.code)
      for relation, count in pairs(fact.unnamed) do unnamed[relation] = (unnamed[relation] or 0) + count end
    end
  end
  return graph, read
end

local function write(folder, texts, made)
  local there, problem = files.make_folder(folder)
  if not there then fail.raise(MACHINE_UNFIT, 'kg_from_python: cannot make the folder %s', problem) end
  files.write(folder .. '/triples.jsonl', texts.triples)
  files.write(folder .. '/code.jsonl', texts.code)
  json.write(folder .. '/manifest.json', made) -- last: what it tells of is there
end

---@class KnowledgeGraph
---@field triples Triple[] in the order of the sorted files and of their text, no fact twice
---@field code table<string, string> source code by entity
---@field manifest GraphManifest

---The knowledge graph of the Python files in a folder and below it. Equal files give equal graphs.
---@param folder string
---@param given? { files: integer?, max_bytes: integer?, out: string? } files: take the first so many in the order of
---their paths; max_bytes: leave out larger files, 50000 otherwise; out: a folder for triples.jsonl, code.jsonl and
---manifest.json
---@return KnowledgeGraph
return function(folder, given)
  local o = options.check('kg_from_python', given, { files = { 'int?', min = 1 }, max_bytes = { 'int', 50000, min = 1 },
    out = 'string?' })
  local kind = files.type(folder)
  if kind ~= 'dir' then
    fail.data("kg_from_python: '%s' is %s; expected a folder of Python files", folder,
      kind and 'a ' .. kind or 'not there')
  end
  local found, skipped = python_files.find(folder, o.max_bytes, o.files)
  if #found == 0 then
    fail.data("kg_from_python: '%s' holds no Python file to read; left out: %s", folder, manifest.describe(skipped))
  end
  local paths = {}
  for i, file in ipairs(found) do paths[i] = file.path end
  local facts, python = read_python(folder, paths)
  local graph, read = grow(folder, found, facts, skipped)
  if #graph.triples == 0 then
    fail.data("kg_from_python: the Python files of '%s' give no triples; files read: %d, left out: %s", folder, #read,
      manifest.describe(skipped))
  end
  local texts = { triples = triples.text(graph.triples), code = code_files.text(graph.code) }
  local made = manifest.of(graph, { python = python, files = read, skipped = skipped, options = o }, texts)
  if o.out then write(o.out, texts, made) end
  return { triples = graph.triples, code = graph.code, manifest = made }
end
