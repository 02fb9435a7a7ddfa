-- Opening of the native module `lanthorn.so`. OpenMP reads its environment once, when it is loaded with the module, so
-- the wait policy and the thread count must stand before.
local fail = require 'fail'
local host = require 'host'

local native = {}

local threads -- from --threads

---Sets the thread count of the native module; call before anything native is required.
---@param count integer
function native.set_threads(count)
  threads = count
end

local function prepare_environment()
  if not host.getenv('OMP_WAIT_POLICY') then
    host.setenv('OMP_WAIT_POLICY', 'passive')
    -- A spin count would override the policy: threads that spin take the cores from LibTorch's other pools.
    host.setenv('GOMP_SPINCOUNT', nil)
  end
  if threads then
    host.setenv('OMP_NUM_THREADS', tostring(threads))
  elseif not host.getenv('OMP_NUM_THREADS') then
    host.setenv('OMP_NUM_THREADS', tostring(host.cores()))
  end
end

---Finds the module beside the runner, else on package.cpath.
---@return function loader
function native.find()
  local beside = host.folder .. '/lanthorn.so'
  local path = beside
  if not host.stat(beside) then path = package.searchpath('lanthorn', package.cpath) end
  if not path then
    fail.raise(1, "native module '%s' does not exist, nor does one in LUA_CPATH; build it with: cmake --build --preset release",
      beside)
  end
  prepare_environment()
  local open, message = package.loadlib(path, 'luaopen_lanthorn')
  if not open then error(("native module '%s': %s"):format(path, message), 0) end
  return open
end

return native
