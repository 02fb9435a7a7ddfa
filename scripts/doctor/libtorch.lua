-- LibTorch, and CUDA where it is asked for.
local finding = require 'base.finding'
local host = require 'host'

-- Who asks for a CUDA device: --device, or the variable that a scheduler sets.
local function asks_for_cuda(context)
  if context.device and context.device:find '^cuda' then return '--device ' .. context.device end
  local visible = host.getenv 'CUDA_VISIBLE_DEVICES'
  if visible and visible ~= '-1' and visible ~= 'NoDevFiles' then return 'CUDA_VISIBLE_DEVICES=' .. visible end
  return nil
end

return { place = 9, look = function(context)
  local l = context.libraries
  local cuda = not l.cuda_built and 'built without CUDA'
    or ('CUDA with %d device%s'):format(l.cuda_devices, l.cuda_devices == 1 and '' or 's')
  local found = finding.new({ ('%s, %s'):format(l.libtorch, cuda) },
    { version = l.libtorch, cuda_built = l.cuda_built, cuda_devices = l.cuda_devices })
  local asked = asks_for_cuda(context)
  local here, message = pcall(require('torch').device, context.device or 'auto')
  if asked and l.cuda_devices == 0 or not here then
    local fix = context.device and 'runner doctor --device auto'
      or not l.cuda_built and 'unset CUDA_VISIBLE_DEVICES' or 'nvidia-smi'
    found:problem('FAIL', not here and tostring(message) or asked .. ' asks for CUDA, runs would take the CPU', fix)
    if not l.cuda_built then
      found.fix[2] = 'cmake --preset release -DLANTHORN_TORCH_ROOT=/folder/of/a/libtorch/with/cuda'
    end
  end
  return found
end }
