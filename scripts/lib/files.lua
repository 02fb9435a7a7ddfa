-- Files and folders for scripts: what is in a folder, whole texts in and out.
local fail = require 'fail'
local host = require 'host'
local read_file = require 'base.read_file'

local files = {}

---What a folder holds, sorted by name, without hidden names: { name =, path =, type = "file" | "dir" | "link" |
---"other", size = bytes, mtime = seconds since 1970 }. Raises (exit 4) when it is not there.
---@param folder string
---@param pattern? string a Lua pattern that names must match, such as '%.txt$'
---@return table[]
function files.list(folder, pattern)
  local names, message = host.listdir(folder)
  if not names then fail.data('files.list: %s', message) end
  table.sort(names)
  local found = {}
  for _, name in ipairs(names) do
    if name:sub(1, 1) ~= '.' and (not pattern or name:find(pattern)) then
      local path = folder:gsub('/+$', '') .. '/' .. name
      local stat = host.stat(path) or host.stat(path, true) -- of a link that leads nowhere, itself
      found[#found + 1] = { name = name, path = path, type = stat.type, size = stat.size, mtime = stat.mtime }
    end
  end
  return found
end

---What is at a path: "file", "dir", "link" (one that leads nowhere) or "other"; nil when nothing is.
---@param path string
---@return string?
function files.type(path)
  local stat = host.stat(path) or host.stat(path, true)
  return stat and stat.type
end

---Makes a folder and its parents; one that is there is fine.
---@param path string
---@return boolean? made nil when it could not be made
---@return string? message
---@return string? in_the_way the type of what has its name, where that is the reason
function files.make_folder(path)
  local kind = files.type(path)
  if kind == 'dir' then return true end
  if kind then return nil, ("'%s' is a %s where a folder is needed"):format(path, kind), kind end
  local parent = path:match '^(.+)/[^/]+/*$'
  if parent then
    local made, message, in_the_way = files.make_folder(parent)
    if not made then return nil, message, in_the_way end
  end
  local made, message = host.mkdir(path)
  if made or files.type(path) == 'dir' then return true end -- another process may have been first
  return nil, message
end

---All bytes of a file. Raises (exit 4) when it cannot be read.
---@param path string
---@return string
function files.read(path)
  local stat = host.stat(path)
  if stat and stat.type == 'dir' then fail.data("files.read: '%s' is a folder", path) end
  local text, message = read_file(path)
  return text or fail.data('files.read: %s', message)
end

---Writes a file whole or not at all: beside it first, then in its place. Raises (exit 9) when it cannot be written.
---@param path string
---@param text string
function files.write(path, text)
  local partial = ('%s.%d.partial'):format(path, host.pid())
  local file, message = io.open(partial, 'wb')
  if not file then fail.raise(9, 'files.write: %s', (message:gsub('%.%d+%.partial', ''))) end
  local written, problem = file:write(text)
  local closed, at_close = file:close()
  if written and closed then
    written, problem = os.rename(partial, path)
    if written then return end
  end
  os.remove(partial)
  fail.raise(9, "files.write: '%s': %s", path, tostring(problem or at_close))
end

---Whether text is UTF-8.
---@param text string
---@return boolean
function files.is_utf8(text)
  local rest = text:gsub('[%z\1-\127]+', '') -- what is left are the characters of several bytes
  local at = 1
  while at <= #rest do
    local first = rest:byte(at)
    local bytes = first >= 0xf0 and first <= 0xf4 and 4 or first >= 0xe0 and first < 0xf0 and 3
      or first >= 0xc2 and first < 0xe0 and 2
    if not bytes or not rest:sub(at + 1, at + bytes - 1):find('^' .. ('[\128-\191]'):rep(bytes - 1) .. '$') then
      return false
    end
    at = at + bytes
  end
  return true
end

return files
