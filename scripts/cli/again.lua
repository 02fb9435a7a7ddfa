-- The script of a run, started once more: in its folder, with its words and what a command adds to them.
local command_line = require 'cli.command_line'
local console = require 'console'
local fail = require 'fail'
local host = require 'host'
local moved_project = require 'runs.moved_project'

local again = {}

---Goes to the folder in which a run was started, and parses its command line.
---@param path string the run's folder
---@param manifest table
---@return table args for start
---@return table start { runner:, argv:, rest: }
function again.read(path, manifest)
  local folder = manifest.cwd and moved_project(path, manifest) or host.cwd()
  if folder ~= host.cwd() then
    local ok, message = host.chdir(folder)
    if not ok then fail.config("run '%s': '%s': %s", path, folder, message) end
    console.note(('%-10s%s%s'):format('folder', folder,
      folder ~= manifest.cwd and ', moved or copied from ' .. manifest.cwd or ''))
  end
  local name, runner, words, rest = command_line.read(manifest.argv or {})
  if name ~= 'run' then
    fail.config("run '%s' was not started by a script (%s); only a script can be started again", path, name)
  end
  local args = command_line.parse(name, runner, words)
  args.interactive = nil
  if args.script and args.script ~= '-' and not host.stat(args.script) then
    fail.raise(5, "run '%s': its script '%s' is not there any more; put it back (the run's own copy is in '%s/src')",
      path, args.script, path)
  end
  return args, { runner = runner, argv = manifest.argv, rest = rest }
end

---@param args table as again.read gave them
---@param start table
---@return integer code
function again.start(args, start)
  return start.runner.run(args, { argv = start.argv, rest = start.rest })
end

return again
