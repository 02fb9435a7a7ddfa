-- The file by which a sweep is asked to stop. Launchers look for it, and workers do not begin while it is there; the
-- next `runner sweep` removes it.
local fail = require 'fail'
local host = require 'host'

local stopping = {}

local MACHINE = 9

local function path_of(folder) return folder .. '/stop' end

---@param folder string of the sweep
function stopping.ask(folder)
  local written, message = host.write_file(path_of(folder), 'asked to stop\n')
  if not written then fail.raise(MACHINE, 'the sweep cannot be stopped: %s', message) end
end

---@param folder string of the sweep
---@return boolean
function stopping.is_asked(folder)
  return host.stat(path_of(folder)) ~= nil
end

---@param folder string of the sweep
function stopping.forget(folder)
  os.remove(path_of(folder))
end

return stopping
