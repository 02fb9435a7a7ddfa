-- Undeclared globals (options -g and -gg). A global counts as declared once it is assigned at the top level of a file
-- or by native code; reading another one, or assigning it inside a function, warns once per name or raises.
local fail = require 'fail'

local strict = {}

local function complain(level, warned, message, name)
  if level >= 2 then fail.raise(1, message, name) end
  if warned[name] then return end
  warned[name] = true
  require('console').warn('warning: ' .. fail.position() .. message:format(name))
end

---@param level integer 1 warns, 2 raises
function strict.install(level)
  local warned, previous = {}, getmetatable(_G)
  local inherited = previous and previous.__index
  setmetatable(_G, {
    __newindex = function(globals, name, value)
      local caller = debug.getinfo(2, 'S')
      if caller and caller.what ~= 'main' and caller.what ~= 'C' then
        complain(level, warned, "assignment to undeclared global '%s'", name)
      end
      rawset(globals, name, value)
    end,
    __index = function(globals, name)
      local value = inherited and inherited(globals, name)
      if value ~= nil then return value end
      complain(level, warned, "read of undeclared global '%s'", tostring(name))
      return nil
    end,
  })
end

return strict
