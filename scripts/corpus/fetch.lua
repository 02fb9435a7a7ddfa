-- Brings a known text into the cache: downloads it, or makes it from Debian packages. Only a text that was checked gets
-- its final name.
local console = require 'console'
local corpora = require 'corpus.registry'
local debian_package = require 'corpus.debian_package'
local dkjson = require 'dkjson'
local files = require 'files'
local host = require 'host'
local shell = require 'base.shell'
local work_folder = require 'corpus.work_folder'

local fetch = {}

local DATA = 4
local CONNECT_SECONDS, DOWNLOAD_SECONDS = 10, 60

local function download(corpus, path)
  local tries = {
    { 'curl', ('curl -fsSL --connect-timeout %d --max-time %d -o %s %s'):format(CONNECT_SECONDS, DOWNLOAD_SECONDS,
      shell.quote(path), shell.quote(corpus.url)) },
    { 'wget', ('wget -nv --timeout=%d --tries=1 -O %s %s'):format(CONNECT_SECONDS, shell.quote(path),
      shell.quote(corpus.url)) },
  }
  local first
  for _, try in ipairs(tries) do
    if shell.has(try[1]) then
      local ok, said = shell.run(try[2])
      if ok and host.stat(path) then return true end
      first = first or (said:find('^' .. try[1]) and said or try[1] .. ': ' .. said)
    end
  end
  return false, first or 'this system has neither curl nor wget'
end

local function make(corpus, work, path)
  local versions, message = debian_package.unpack(corpus.packages, work)
  if not versions then return nil, message end
  local described = debian_package.describe(corpus.packages, versions)
  local ok, text = pcall(require(corpus.recipe).build, work .. '/root', corpus.bytes)
  if not ok then return nil, ('%s: %s'):format(described, tostring(text)) end
  ok, message = pcall(files.write, path, text)
  if not ok then return nil, tostring(message) end
  return described
end

-- Moves a checked text to its final name: the pinned one, or one that says it is another, with its record.
local function keep(name, path, sum, versions)
  local corpus, cache = corpora.known[name], corpora.cache()
  if sum == corpus.sha256 then
    local ok, message = os.rename(path, cache .. '/' .. corpus.file)
    return ok and { path = cache .. '/' .. corpus.file, sha256 = sum }, message
  end
  local other = ('%s-%s.txt'):format(name, sum:sub(1, 12))
  local record = path .. '.json'
  local kept = dkjson.encode { file = other, sha256 = sum, versions = versions }
  local ok, message = pcall(files.write, record, kept .. '\n')
  if ok then ok, message = os.rename(path, cache .. '/' .. other) end
  if ok then ok, message = os.rename(record, corpora.record_path(name)) end
  return ok and { path = cache .. '/' .. other, sha256 = sum, versions = versions }, message and tostring(message)
end

local function bring_into(name, work)
  local corpus, path = corpora.known[name], work .. '/text'
  local versions, message
  if corpus.url then
    local ok
    ok, message = download(corpus, path)
    if not ok then return nil, message, work_folder.code_of(message) end
  else
    versions, message = make(corpus, work, path)
    if not versions then return nil, message, work_folder.code_of(message) end
  end
  local sum = require('lanthorn').data.sha256(path)
  if sum ~= corpus.sha256 and not corpus.varies then
    return nil, ("the file from %s has sha256 %s, expected %s; it was discarded"):format(versions or corpus.url, sum,
      corpus.sha256), DATA
  end
  local place
  place, message = keep(name, path, sum, versions)
  if not place then return nil, message, work_folder.code_of(message) end
  return place
end

---Brings a corpus into the cache, over whatever has its name there.
---@param name string
---@return CorpusPlace? place nil when it could not be fetched; nothing is left then
---@return string? message why
---@return integer? code the exit code for that: 4, or 9 when there is no room
function fetch.bring(name)
  local corpus = corpora.known[name]
  local room = corpus.url and 2 * corpus.bytes or debian_package.room
  local place, message, code = work_folder.within(corpora.cache(), room, function(work)
    return bring_into(name, work)
  end)
  if place then console.note(("data: '%s' is now %s"):format(name, place.path)) end
  return place, message, code
end

return fetch
