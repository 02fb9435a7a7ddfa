-- The standard library from Debian's registry, brought into an empty cache, and the knowledge graph of all of it.
local host = require 'host'
local kg_from_python = require 'graph.python_kg'
local standard_library = require 'graph.standard_library'
local t = require 'testing'

t.test("the graph of Python's standard library has tens of thousands of triples, nearly all of which fit", function()
  local cache = host.getenv 'XDG_CACHE_HOME'
  host.setenv('XDG_CACHE_HOME', t.temporary_folder())
  local ok, folder = pcall(standard_library.folder)
  host.setenv('XDG_CACHE_HOME', cache)
  t.is_true(ok, folder)
  local made = kg_from_python(folder).manifest
  t.is_true(#made.files > 450, #made.files)
  t.is_true(made.triples > 50000, made.triples)
  t.is_true(made.ontology.share_fit > 0.99, made.ontology.share_fit)
  t.is_true(made.ontology.acyclic)
  t.equal(made.skipped.syntax, nil)
  t.is_true(made.skipped.too_large.count > 30)
  t.equal(kg_from_python(folder).manifest.triples_sha256, made.triples_sha256)
end)
