-- Debian packages, unpacked into a folder without installing them and without root. apt checks the signatures.
local shell = require 'base.shell'

-- room: bytes that packages, what is in them and package lists may take.
local debian_package = { room = 60e6 }

-- Servers that do not answer are given up. No user of its own for downloads: it could not write into our folder.
local APT = 'apt-get -q -o APT::Sandbox::User=root -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o '
  .. 'Acquire::https::Timeout=20'
-- Package lists of our own, small, for where those of the system are missing or old.
local OWN_LISTS = '-o Dir::State::Lists=%s/apt/lists -o Dir::Cache=%s/apt/cache -o Dir::Cache::pkgcache= -o '
  .. 'Dir::Cache::srcpkgcache= -o Acquire::GzipIndexes=true -o Acquire::Languages=none'

-- Downloads into `folder`; the system's package lists first, fresh ones if they do not do.
local function download(names, folder)
  local there = shell.quote(folder)
  local into = ('cd %s && %s '):format(there, APT)
  local words = ' download ' .. table.concat(names, ' ')
  local ok, said = shell.run(into .. words)
  if ok or said:find 'No space left' then return ok, said end
  local own = OWN_LISTS:format(there, there)
  shell.run(('mkdir -p %s/apt/lists/partial %s/apt/cache/archives/partial'):format(there, there))
  shell.run(into .. own .. ' update')
  return shell.run(into .. own .. words)
end

---Downloads packages and unpacks them all below `folder`/root.
---@param names string[]
---@param folder string one that exists, for this alone
---@return table<string, string>? versions of the packages; nil when one could not be had
---@return string? message why
function debian_package.unpack(names, folder)
  for _, program in ipairs { 'apt-get', 'dpkg-deb' } do
    if not shell.has(program) then return nil, ('this system has no %s'):format(program) end
  end
  local ok, said = download(names, folder)
  if not ok then return nil, ('apt-get download %s: %s'):format(table.concat(names, ' '), said) end
  local there, versions = shell.quote(folder), {}
  for _, name in ipairs(names) do
    local file
    for _, entry in ipairs(require('host').listdir(folder) or {}) do
      local version = entry:sub(1, #name + 1) == name .. '_' and entry:match '^[^_]+_(.*)_[^_]+%.deb$'
      if version then file, versions[name] = entry, (version:gsub('%%3a', ':')) end
    end
    if not file then return nil, ('apt-get download %s: did not give the package'):format(name) end
    ok, said = shell.run(('dpkg-deb -x %s/%s %s/root'):format(there, shell.quote(file), there))
    if not ok then return nil, ('dpkg-deb -x %s: %s'):format(file, said) end
  end
  return versions
end

---The packages with their versions, in words.
---@param names string[]
---@param versions table<string, string>
---@return string
function debian_package.describe(names, versions)
  local words = {}
  for i, name in ipairs(names) do words[i] = name .. ' ' .. versions[name] end
  return table.concat(words, ', ')
end

return debian_package
