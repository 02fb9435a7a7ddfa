-- %run: runs a script in this session; its globals stay.
local fail = require 'fail'
local host = require 'host'
local script_file = require 'cli.script_file'
local sources = require 'boot.sources'
local traceback = require 'boot.traceback'

local magic = { takes = 'file.lua', summary = 'run a script; its globals stay' }

function magic.run(prompt, text)
  local path, rest = text:match '^(%S+)%s*(.*)$'
  if not path then fail.usage('%run: which file? %run experiments/xor.lua') end
  script_file.check(path)
  local compiled, message = sources.read(path)
  if not compiled then fail.raise(1, '%s', message) end
  local arguments = {}
  for word in rest:gmatch '%S+' do arguments[#arguments + 1] = word end
  if prompt.interrupts then host.watch_interrupt 'raise' end
  local ok, problem = traceback.call(compiled, unpack(arguments))
  if prompt.interrupts then host.watch_interrupt 'flag' end
  if not ok then error(problem, 0) end
  prompt.session:accept(('dofile %q'):format(path))
end

return magic
