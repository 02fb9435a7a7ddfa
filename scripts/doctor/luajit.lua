-- LuaJIT: version, compiler, address space.
local finding = require 'base.finding'

return { place = 10, look = function()
  local on = jit.status()
  local gc64 = require('ffi').abi 'gc64'
  local found = finding.new({ ('%s, compiler %s, %s'):format(jit.version, on and 'on' or 'off',
    gc64 and 'GC64' or 'no GC64') }, { version = jit.version, compiler = on, gc64 = gc64 })
  if not on then
    found:problem('warn', 'Lua loops run many times slower', 'unset RUNNER_NO_JIT')
  elseif not gc64 then
    found:problem('warn', 'Lua objects are limited to 2 GiB',
      'apt-get install libluajit-5.1-dev && cmake --build --preset release')
  end
  return found
end }
