-- Scripts that a command line names.
local fail = require 'fail'
local host = require 'host'
local nearest = require 'nearest'

local script_file = {}

-- Lua files near a path that does not exist.
local function similar_files(path)
  local folder, name = path:match('^(.*/)([^/]*)$')
  folder, name = folder or '', name or path
  local found = {}
  for _, candidate in ipairs { folder == '' and '.' or folder, 'experiments' } do
    for _, file in ipairs(host.listdir(candidate) or {}) do
      local prefix = candidate == '.' and '' or (candidate:gsub('/$', '')) .. '/'
      if file:match('%.lua$') then found[#found + 1] = prefix .. file end
    end
  end
  local by_name, names = {}, {}
  for _, file in ipairs(found) do
    local base = file:match('[^/]*$'):gsub('%.lua$', '')
    by_name[base] = by_name[base] or file
    names[#names + 1] = base
  end
  local close = {}
  for _, base in ipairs(nearest.find(name:gsub('%.lua$', ''), names)) do close[#close + 1] = by_name[base] end
  return close
end

---Raises (exit 2) for a path that is not a file, with those that may have been meant.
---@param path string
---@param whose? string what messages call it; 'script' otherwise
function script_file.check(path, whose)
  whose = whose or 'script'
  local info = host.stat(path)
  if info and info.type == 'file' then return end
  if info then
    fail.usage("%s '%s' is a %s, not a file", whose, path, info.type == 'dir' and 'folder' or 'special file')
  end
  local close = similar_files(path)
  local shown = table.concat(close, ', ', 1, math.min(#close, 3))
  fail.usage("%s '%s' does not exist%s", whose, path, #close > 0 and '; nearest: ' .. shown or '')
end

return script_file
