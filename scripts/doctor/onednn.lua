-- oneDNN: version, and whether it uses what the CPU has.
local finding = require 'base.finding'
local host = require 'host'

-- The command that lets oneDNN use all of the CPU: a variable may keep it from that.
local function fix()
  for _, name in ipairs { 'ONEDNN_MAX_CPU_ISA', 'DNNL_MAX_CPU_ISA' } do
    if host.getenv(name) then return 'unset ' .. name end
  end
  return 'apt-get install --only-upgrade libdnnl2'
end

return { place = 7, fix = fix, look = function(context)
  local l, flags = context.libraries, table.concat(context.machine.flags, ' ')
  local found = finding.new({ ('%s, uses %s'):format(l.onednn, l.onednn_isa) },
    { version = l.onednn, isa = l.onednn_isa, bf16 = l.bf16 })
  local lacks_avx512 = flags:find '%f[%w]avx512f%f[^%w]' and not l.onednn_isa:find 'avx512'
  local lacks_avx2 = flags:find '%f[%w]avx2%f[^%w]' and not l.onednn_isa:find '^avx[25]'
  if lacks_avx512 or lacks_avx2 then found:problem('warn', 'the CPU has more: ' .. flags, fix()) end
  return found
end }
