-- Where the runner keeps what it can make again: $XDG_CACHE_HOME/lanthorn, else ~/.cache/lanthorn.
local host = require 'host'

---@param room string a folder of the cache, such as 'data'
---@return string path it may not exist yet
return function(room)
  return ('%s/lanthorn/%s'):format(host.getenv 'XDG_CACHE_HOME' or (host.getenv 'HOME' or '.') .. '/.cache', room)
end
