-- Where the runner keeps what it can make again: $XDG_CACHE_HOME/lanthorn, else ~/.cache/lanthorn.
local host = require 'host'

local function given(name)
  local value = host.getenv(name)
  return value ~= '' and value or nil
end

---@param room string a folder of the cache, such as 'data'
---@return string path it may not exist yet
return function(room)
  return ('%s/lanthorn/%s'):format(given 'XDG_CACHE_HOME' or (given 'HOME' or '.') .. '/.cache', room)
end
