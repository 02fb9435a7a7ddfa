-- Rooms of the library whose files are found by their names: commands, models, callbacks and the like. The directory is
-- the registry, so that a new one is a new file.
local host = require 'host'
local nearest = require 'nearest'

local room = {}

---Names of the files of a room, sorted.
---@param folder string such as 'models'
---@return string[]
function room.names(folder)
  local names, pattern = {}, '^' .. folder .. '/([%w_]+)%.lua$'
  for _, path in ipairs(host.embedded_list(folder .. '/')) do names[#names + 1] = path:match(pattern) end
  return names
end

---Whether a room has a file of that name; nothing is loaded.
---@param folder string
---@param name string
---@return boolean
function room.has(folder, name)
  return name:find '^[%w_]+$' ~= nil and host.embedded(('%s/%s.lua'):format(folder, name)) ~= nil
end

---What the file of that name returns; nil when there is none.
---@param folder string
---@param name string
---@return any?
function room.load(folder, name)
  return room.has(folder, name) and require(folder .. '.' .. name) or nil
end

---A table whose members are what the files of a room return, loaded at their first use. A name without a file is an
---error.
---@param folder string
---@param wrap? fun(member: any): any what becomes of one when it is loaded
---@return table
function room.members(folder, wrap)
  return setmetatable({}, {
    __index = function(members, name)
      local member = room.load(folder, tostring(name))
      if member == nil then
        local known = {}
        for _, other in ipairs(room.names(folder)) do known[other] = true end
        nearest.missing(folder, known, name)
      end
      members[name] = wrap and wrap(member) or member
      return members[name]
    end,
    __complete = function() return room.names(folder) end,
  })
end

return room
