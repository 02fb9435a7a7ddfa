-- Known texts: where they lie, their checksums, and where a missing one is brought from (fetch.lua does that).
-- Order: $RUNNER_DATA_DIR, the cache, a download or Debian packages, for tiny Shakespeare a stand-in (announced).
local cache_folder = require 'base.cache_folder'
local console = require 'console'
local fail = require 'fail'
local host = require 'host'
local nearest = require 'nearest'
local read_file = require 'base.read_file'

local registry = {}

---@class Corpus
---@field file string its name in RUNNER_DATA_DIR and in the cache
---@field bytes integer
---@field sha256 string
---@field about string
---@field url string? where it is downloaded from, or else
---@field packages string[]? the Debian packages it is made from, by
---@field recipe string? the module that makes it
---@field varies string? why other versions of those packages may give another text; nil: they may not
---@field stand_in string? the corpus that is taken where this one cannot be had

---@type table<string, Corpus>
registry.known = {
  tinyshakespeare = {
    file = 'tinyshakespeare.txt',
    bytes = 1115394,
    sha256 = '86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed',
    about = 'tiny Shakespeare (public domain), as published with karpathy/char-rnn',
    url = 'https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt',
    stand_in = 'kjv',
  },
  python_code = {
    file = 'python_code.txt',
    bytes = 1000000,
    sha256 = '8314185910fc68e65f1f809cc8da6141253f0026096218b4f75942dde7277d3f',
    about = "sources of Python 3.11's standard library, ASCII (PSF licence)",
    packages = { 'libpython3.11-minimal', 'libpython3.11-stdlib' },
    recipe = 'corpus.python_text',
    varies = 'a security update may change a source, and every architecture has a file of its own',
  },
  kjv = {
    file = 'kjv.txt',
    bytes = 1000000,
    sha256 = 'bcceeb19c6ba56c526b1914897c3ebe0acbcd61ae2d28522a18b0e1c7ad18747',
    about = 'King James Bible, verse text without references (public domain)',
    packages = { 'bible-kjv-text' },
    recipe = 'corpus.bible_text',
  },
}

---The names of all corpora, sorted.
---@return string[]
function registry.names()
  local names = {}
  for name in pairs(registry.known) do names[#names + 1] = name end
  table.sort(names)
  return names
end

---Where corpora are brought to.
---@return string
function registry.cache()
  return cache_folder 'data'
end

---Where a corpus comes from, in words.
---@param name string
---@return string
function registry.origin(name)
  local corpus = registry.known[name]
  return corpus.url or 'Debian: ' .. table.concat(corpus.packages, ' ')
end

---$RUNNER_DATA_DIR; nil when it is unset or empty.
---@return string?
function registry.given_folder()
  local given = host.getenv 'RUNNER_DATA_DIR'
  return given ~= '' and given or nil
end

local function is_file(path)
  return (host.stat(path) or {}).type == 'file'
end

---The record of a text that was made from other versions of its packages than the pinned one.
---@param name string
---@return string path
function registry.record_path(name)
  return ('%s/%s.other.json'):format(registry.cache(), name)
end

local function read_record(name)
  local record = require('dkjson').decode(read_file(registry.record_path(name)) or '')
  local whole = type(record) == 'table' and type(record.file) == 'string' and type(record.sha256) == 'string'
    and type(record.versions) == 'string'
  return whole and record or nil
end

---@class CorpusPlace
---@field path string
---@field sha256 string what it must have
---@field versions string? of a text that is not the pinned one: the packages it was made from

---Where a known corpus lies now; nothing is brought.
---@param name string
---@return CorpusPlace? place nil when it is in no place
---@return string wanted the path in the cache, where it would be brought to
function registry.locate(name)
  local corpus = registry.known[name]
  local given, cached = registry.given_folder(), registry.cache() .. '/' .. corpus.file
  for _, path in ipairs { given and given .. '/' .. corpus.file or cached, cached } do
    if is_file(path) then return { path = path, sha256 = corpus.sha256 }, cached end
  end
  local record = corpus.varies and read_record(name)
  local other = record and registry.cache() .. '/' .. record.file
  if other and is_file(other) then
    return { path = other, sha256 = record.sha256, versions = record.versions }, cached
  end
  return nil, cached
end

---@class CorpusState
---@field name string
---@field bytes integer
---@field sha256 string
---@field about string
---@field origin string
---@field here boolean
---@field path string? where it lies
---@field wanted string where it would be brought to
---@field versions string? as in CorpusPlace
---@field ok boolean? whether its checksum is right, where that was asked
---@field found_sha256 string? the checksum of what is there

---What is known of a corpus without bringing it.
---@param name string
---@param sha256 (fun(path: string): string)? to compare checksums with
---@return CorpusState
function registry.state(name, sha256)
  local corpus = registry.known[name]
  local place, wanted = registry.locate(name)
  local state = { name = name, bytes = corpus.bytes, sha256 = corpus.sha256, about = corpus.about,
    origin = registry.origin(name), here = place ~= nil, path = place and place.path, wanted = wanted,
    versions = place and place.versions }
  if place then state.sha256 = place.sha256 end
  if place and sha256 then
    state.found_sha256 = sha256(place.path)
    state.ok = state.found_sha256 == place.sha256
  end
  return state
end

local function source_of(name, place)
  if place.versions then
    console.warn(("data: WARNING: '%s' is made from %s and is not the pinned text (%s); numbers do not compare with "
      .. 'those of other machines unless their sha256 is %s too'):format(name, place.versions,
      registry.known[name].varies, place.sha256))
    return { name = ('%s (%s)'):format(name, place.versions), path = place.path, sha256 = place.sha256 }
  end
  return { name = name, path = place.path, sha256 = place.sha256 }
end

-- The text that is taken where another cannot be had, or nil, why not.
local function stand_in(name, reason)
  local other = registry.known[name].stand_in
  local place, problem = registry.locate(other), nil
  if not place then place, problem = require('corpus.fetch').bring(other) end
  if not place then return nil, problem end
  console.warn(("data: WARNING: '%s' could not be fetched (%s); '%s' stands in for it: %s, %d characters. This is "
    .. 'another text: results are NOT comparable with published ones.'):format(name, reason, other,
    registry.known[other].about, registry.known[other].bytes))
  return { name = ('%s (substitute for %s)'):format(other, name), path = place.path, sha256 = place.sha256 }
end

---Raises unless a corpus of that name is known.
---@param name string
---@param raise fun(message: string, ...) one of fail.*
---@param advice string? what else to do
function registry.check_name(name, raise, advice)
  if registry.known[name] then return end
  raise("corpus '%s' is not known%s%s", name, nearest.hint(name, registry.names()), advice or '')
end

---Where a corpus lies, after bringing it if need be.
---@param name string
---@param option string? where a file of one's own is given instead, for the message; data.file
---@return { name: string, path: string, sha256: string }
function registry.find(name, option)
  registry.check_name(name, fail.data, '; for a text of your own set ' .. (option or 'data.file'))
  local given, place = registry.given_folder(), registry.locate(name)
  if given and not is_file(given .. '/' .. registry.known[name].file) then
    console.note(("data: RUNNER_DATA_DIR is '%s', but '%s' is not there"):format(given, registry.known[name].file))
  end
  if place then return source_of(name, place) end
  console.note(('data: fetching %s: %s'):format(registry.known[name].about, registry.origin(name)))
  local reason, code
  place, reason, code = require('corpus.fetch').bring(name)
  if place then return source_of(name, place) end
  local other = registry.known[name].stand_in
  if other then
    local source, problem = stand_in(name, reason)
    if source then return source end
    reason = ("%s; nor '%s' to stand in for it: %s"):format(reason, other, problem)
  end
  fail.raise(code, "corpus '%s' could not be fetched: %s; put %s (sha256 %s) into %s%s, or use a text of your own (%s)",
    name, reason, registry.known[name].file, registry.known[name].sha256,
    given and ("RUNNER_DATA_DIR '%s' or "):format(given) or '', "'" .. registry.cache() .. "'",
    option or 'data.file')
end

return registry
