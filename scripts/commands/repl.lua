-- runner repl: the prompt, also what `runner` alone opens.
local run_options = require 'cli.run_options'

local repl = { summary = 'Open the prompt.' }

function repl.configure(parser)
  run_options.add_threads(parser)
end

function repl.run(args, extra)
  run_options.setup({ threads = args.threads, pin = args.pin }, nil, {}, extra.argv, 'prompt')
  return require('prompt.loop').run()
end

return repl
