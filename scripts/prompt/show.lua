-- Values as the prompt shows them. A metatable function `__show(value)` gives a plain table or text to show instead.
local pretty = require 'pretty'

local show = {}

---@param value any
---@return string
function show.text(value)
  local meta = debug.getmetatable(value)
  local own = type(value) ~= 'string' and type(meta) == 'table' and rawget(meta, '__show')
  if own then value = own(value) end
  if own and type(value) == 'string' then return value end
  return pretty.show(value)
end

return show
