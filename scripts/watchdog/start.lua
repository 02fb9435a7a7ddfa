-- Starts and ends the watchdog of a run: `runner watchdog`, a process of its own that looks at .progress and ends a run
-- that hangs (guard G11). It notices the end of this process by a pipe, so nothing has to wait for it.
local console = require 'console'
local host = require 'host'

local start = {}

-- The value of engine/train/signals.h by which a run knows who asks it to end.
start.MARK = 0x47313121

local ended = {} -- pids whose end was not taken yet

local function reap()
  for i = #ended, 1, -1 do
    if host.reap(ended[i]) then table.remove(ended, i) end
  end
end

-- The words of the command line.
local function words(folder, config)
  local made = { host.folder .. '/runner', 'watchdog', '--pid', ('%d'):format(host.pid()), '--run', folder }
  if host.scripts then
    table.insert(made, 2, '--scripts')
    table.insert(made, 3, host.scripts)
  end
  for _, name in ipairs { 'min_s', 'first_s', 'stall_s', 'grace_s', 'retries', 'on_stall' } do
    if config[name] ~= nil then
      made[#made + 1] = '--' .. name:gsub('_', '-')
      made[#made + 1] = tostring(config[name])
    end
  end
  return made
end

---Starts a watchdog unless it is off. One that cannot start is told, and the run goes on.
---@param run table
---@param config table the section `watchdog`
---@return table? dog
function start.start(run, config)
  if config.off then return nil end
  reap()
  local pid, line = host.companion(words(host.realpath(run:path()), config), true)
  if not pid then
    console.warn('warning: no watchdog: ' .. tostring(line))
    return nil
  end
  return { pid = pid, line = line }
end

---Ends a watchdog.
---@param dog table?
function start.stop(dog)
  if not dog then return end
  host.close_line(dog.line)
  ended[#ended + 1] = dog.pid
  reap()
end

return start
