-- A text file that a script names: what is said where it does not exist, with the files of that folder that may have
-- been meant.
local corpora = require 'corpus.registry'
local fail = require 'fail'
local host = require 'host'
local nearest = require 'nearest'

---Raises (exit 4) for a path that is not a file.
---@param path string
---@param option string that holds it, such as "data.file"
return function(path, option)
  local info = host.stat(path)
  if info and info.type == 'dir' then fail.data("%s '%s' is a folder, expected a text file", option, path) end
  if info then return end
  local folder, name = path:match '^(.*/)([^/]*)$'
  -- the parts of a dotted name would be compared as those of an option
  local function plain(file) return (file:gsub('%.', '_')) end
  local files, names = {}, {}
  for _, other in ipairs(host.listdir(folder or '.') or {}) do
    local found = host.stat((folder or '') .. other)
    if found and found.type == 'file' then names[#names + 1], files[plain(other)] = plain(other), other end
  end
  local near = files[nearest.find(plain(name or path), names)[1]]
  local hint = corpora.known[path] and ('; the corpus of that name is {corpus=%s}'):format(path)
    or near and ('; nearest: %s%s'):format(folder or '', near) or ''
  local from = path:sub(1, 1) == '/' and '' or ("; paths are relative to the working folder '%s'"):format(host.cwd())
  fail.data("%s '%s' does not exist%s%s", option, path, from, hint)
end
