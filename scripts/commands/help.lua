-- runner help: the list of commands; `runner COMMAND --help` tells more about one.
local console = require 'console'

local USAGE = [[
Usage: runner SCRIPT [a.b=c ...] [-- script arguments]
       runner COMMAND [...]
       runner            the prompt

Commands:
]]

local help = { summary = 'List the commands.' }

function help.configure(parser)
  parser:argument 'command':args '?':description 'A command to explain.'
end

function help.run(args)
  local command_line = require 'cli.command_line'
  if args.command then
    if not command_line.command(args.command) then command_line.unknown_command(args.command) end
    return command_line.main { args.command, '--help' }
  end
  console.write(USAGE)
  for _, name in ipairs(command_line.commands()) do
    local command = command_line.command(name)
    if not command.hidden then console.write(('  %-14s %s\n'):format(name, command.summary)) end
  end
  console.write('\nOptions of a script: runner run --help\n')
  return 0
end

return help
