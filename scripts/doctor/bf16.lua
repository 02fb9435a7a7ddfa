-- bf16: of the CPU and of oneDNN, and whether train.precision=bf16 is accepted. Its absence is not a fault.
local finding = require 'base.finding'
local onednn = require 'doctor.onednn'

local INSTRUCTIONS = { avx512_bf16 = 'AVX512_BF16', amx_bf16 = 'AMX' }
local SLOW = 'train.precision=bf16 is accepted, but slow, since oneDNN converts up to fp32'

return { place = 8, look = function(context)
  local cpu
  for _, flag in ipairs(context.machine.flags) do
    if cpu ~= 'AMX' then cpu = INSTRUCTIONS[flag] or cpu end
  end
  local own, accepted = context.libraries.bf16, context.diagnostics.missing_precision 'bf16' == nil
  local found = finding.new({ ('CPU %s, oneDNN multiplies with %s'):format(cpu or 'none', own) },
    { cpu = cpu, onednn = own, accepted = accepted })
  if not cpu then
    found.mark = 'none'
    found.text[1] = 'none in this CPU (AVX512_BF16 or AMX): '
      .. (accepted and SLOW or 'train.precision=bf16 needs train.emulate=true')
  elseif own == 'none' then
    found:problem('warn', 'the CPU has bf16, oneDNN does not use it' .. (accepted and ': ' .. SLOW or ''), onednn.fix())
  end
  return found
end }
