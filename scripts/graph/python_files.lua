-- Which Python files of a folder a knowledge graph is made from, and why the others are left out.
local files = require 'files'
local host = require 'host'

local python_files = {}

---@class PythonFile
---@field path string below the folder
---@field bytes integer

---@alias SkippedFiles table<string, string[]> paths by the reason why they are left out

local function skip(skipped, reason, path)
  skipped[reason] = skipped[reason] or {}
  table.insert(skipped[reason], path)
end

-- Why a file or folder is left out; nil: it is not. A link counts as left out wherever it leads: its file would come
-- twice, or from outside of the folder.
local function reason_against(name, path, info, largest)
  if info.type == 'link' then return 'link' end
  if name == '__pycache__' then return 'cache' end
  if name:sub(1, 1) == '.' then return 'hidden' end
  if info.type ~= 'file' then return nil end
  if not files.is_utf8(path) then return 'name_not_utf8' end
  if name:find '^test_' then return 'test' end
  if info.size > largest then return 'too_large' end
  return nil
end

local function look(folder, below, largest, found, skipped)
  local names = host.listdir(folder .. '/' .. below)
  if not names then return skip(skipped, 'unreadable', below) end
  for _, name in ipairs(names) do
    local path = below .. name
    local info = host.stat(folder .. '/' .. path, true) or { type = 'other' }
    local meant = info.type == 'link' and host.stat(folder .. '/' .. path) or info -- what a link leads to
    local is_folder = meant.type == 'dir'
    if is_folder or name:sub(-3) == '.py' and meant.type ~= 'other' then
      local reason = reason_against(name, path, info, largest)
      if reason then
        skip(skipped, reason, is_folder and path .. '/' or path)
      elseif is_folder then
        look(folder, path .. '/', largest, found, skipped)
      else
        found[#found + 1] = { path = path, bytes = info.size }
      end
    end
  end
end

---The Python files of a folder and those below it, sorted by path. Left out are: 'link', 'cache' (__pycache__),
---'hidden' (a name with a dot in front), 'test' (test_*), 'too_large', 'name_not_utf8', 'unreadable' (a folder), and
---'beyond_limit': those behind the first `limit`. Folders end in '/'; what is in one that is left out is not looked at.
---@param folder string
---@param largest integer bytes
---@param limit integer?
---@return PythonFile[] found
---@return SkippedFiles skipped
function python_files.find(folder, largest, limit)
  local found, skipped = {}, {}
  look(folder, '', largest, found, skipped)
  table.sort(found, function(a, b) return a.path < b.path end)
  while limit and #found > limit do skip(skipped, 'beyond_limit', table.remove(found).path) end
  for _, paths in pairs(skipped) do table.sort(paths) end
  return found, skipped
end

return python_files
