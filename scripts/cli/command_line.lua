-- The command line. Commands are the files of scripts/commands/ (verify_resume.lua is `verify-resume`); each returns
--   { summary =, configure = function(parser), run = function(args, extra) -> exit code, passthrough = bool? }
-- where `extra` holds argv and the words after `--`. `runner script.lua ...` is short for `runner run script.lua ...`.
local argparse = require 'argparse'
local console = require 'console'
local fail = require 'fail'
local at_exit = require 'boot.at_exit'
local host = require 'host'
local nearest = require 'nearest'
local room = require 'base.room'
local traceback = require 'boot.traceback'

local command_line = {}

---Names of all commands, sorted.
---@return string[]
function command_line.commands()
  local names = room.names 'commands'
  for i, name in ipairs(names) do names[i] = name:gsub('_', '-') end
  return names
end

---Loads a command; nil when there is none of that name.
---@param name string
---@return table?
function command_line.command(name)
  return name:match '^[%w-]+$' and room.load('commands', (name:gsub('-', '_'))) or nil
end

-- Splits at the first "--": our words, and the script's arguments.
local function split(words)
  local ours, rest = {}, {}
  local into = ours
  for _, word in ipairs(words) do
    if word == '--' and into == ours then
      into = rest
    else
      into[#into + 1] = word
    end
  end
  return ours, rest
end

---Parses the words of a command. Raises on those it does not take.
---@param name string
---@param command table
---@param words string[]
---@return table args
function command_line.parse(name, command, words)
  local parser = argparse('runner ' .. name, command.summary)
  if command.configure then command.configure(parser) end
  if command.normalise then words = command.normalise(words) end
  local ok, args = parser:pparse(words)
  if not ok then fail.usage('%s (see: runner %s --help)', (args:gsub('\n', '; ')), name) end
  return args
end

---What a command line asks for.
---@param argv string[]
---@return string name, table command, string[] words, string[] rest the command's words, and those after --
function command_line.read(argv)
  local words, rest = split(argv)
  local name = words[1] or 'repl'
  if name == '--help' or name == '-h' then name = 'help' end
  if name == '--version' then name = 'version' end
  local command = command_line.command(name)
  if command then
    table.remove(words, 1)
  else
    name, command = 'run', command_line.command('run')
  end
  return name, command, words, rest
end

local function dispatch(argv)
  local name, command, words, rest = command_line.read(argv)
  return command.run(command_line.parse(name, command, words), { argv = argv, rest = rest })
end

---The error for a word that is neither a command nor a file.
---@param word string
function command_line.unknown_command(word)
  if command_line.command(word) then fail.usage("the command '%s' must come before its options", word) end
  fail.usage("unknown command '%s'%s", word, nearest.hint(word, command_line.commands()))
end

-- os.exit of a script ends the process like the end of the script does.
local function exit(code)
  if code == nil or code == true then code = 0 end
  if code == false then code = 1 end
  host.exit(at_exit.run(code, 'os.exit'))
end

---Runs the command line. Returns the exit code.
---@param argv string[]
---@return integer
function command_line.main(argv)
  console.install()
  os.exit = exit
  local ok, result = traceback.call(dispatch, argv)
  local code = ok and (result or 0) or result.code
  if not ok then traceback.report(result) end
  return at_exit.run(code)
end

return command_line
