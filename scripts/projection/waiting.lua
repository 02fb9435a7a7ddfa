-- How long the threads of this process have waited for a core that another program held.
local host = require 'host'
local read_file = require 'base.read_file'

local waiting = {}

local MOST = 0.75 -- threads that wait one after the other may add up to more than the time that went by

---Seconds since the process began, over all of its threads; 0 where the kernel does not tell.
---@return number
function waiting.seconds()
  local total = 0
  for _, thread in ipairs(host.listdir '/proc/self/task' or {}) do
    -- time on a core, time waiting for one (ns), and how often it had one
    local text = read_file(('/proc/self/task/%s/schedstat'):format(thread))
    total = total + (tonumber(text and text:match '^%d+ (%d+)') or 0)
  end
  return total / 1e9
end

---A clock: what it gives is the share of the time since it was made that was spent waiting.
---@return fun(): number share
function waiting.clock()
  local began, before = host.now(), waiting.seconds()
  return function()
    local wall = host.now() - began
    return wall > 0 and math.min(math.max(waiting.seconds() - before, 0) / wall, MOST) or 0
  end
end

return waiting
