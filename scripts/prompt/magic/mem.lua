-- %mem: the memory of this process.
local console = require 'console'

local magic = { summary = 'memory of Lua, tensors and the process' }

function magic.run()
  local memory = require('torch').memory()
  local parts = {}
  for _, row in ipairs { { 'tensor_mb', 'tensors' }, { 'lua_mb', 'Lua' }, { 'rss_mb', 'process' },
    { 'rss_peak_mb', 'peak' }, { 'limit_mb', 'limit' } } do
    local value = memory[row[1]]
    if value then parts[#parts + 1] = ('%s %.1f MB'):format(row[2], value) end
  end
  console.write(table.concat(parts, ', ') .. '\n')
end

return magic
