-- runner repl: the prompt, also what `runner` alone opens.
local run_options = require 'run_options'

local repl = { summary = 'Open the prompt.' }

function repl.configure(parser)
  parser:option '--threads':argname 'N':convert(run_options.to_count):description 'Threads of native code (default: cores).'
end

function repl.run(args, extra)
  run_options.setup({ threads = args.threads }, nil, {}, extra.argv)
  return require('prompt').run()
end

return repl
