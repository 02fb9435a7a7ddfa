-- Lua's end unloads the libraries that it opened. Some must stay: threads of theirs still wait for work, or what they
-- left with the C library is called at the process's end.
local ffi = require 'ffi'

ffi.cdef 'void* dlopen(const char*, int);'

local NOW, NODELETE = 0x2, 0x1000

---Keeps a library that is open, and those it needs, until the process ends.
---@param path string
return function(path) ffi.C.dlopen(path, NOW + NODELETE) end
