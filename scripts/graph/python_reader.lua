-- Runs the program that reads Python: the list of files goes in by a file, what it says comes out by another, so that
-- no name of a file is ever a word of the shell.
local dkjson = require 'dkjson'
local fail = require 'fail'
local files = require 'files'
local program = require 'graph.python_program'
local shell = require 'base.shell'

local MACHINE_UNFIT = 9

local function run(folder, paths, work)
  files.write(work .. '/list', table.concat(paths, '\0') .. '\0')
  files.write(work .. '/program.py', program)
  -- -I: neither the environment nor the user's own packages have a say.
  local said, code = shell.output(('python3 -I %s %s %s %s'):format(shell.quote(work .. '/program.py'),
    shell.quote(folder), shell.quote(work .. '/list'), shell.quote(work .. '/output')))
  if code ~= 0 then fail.raise(MACHINE_UNFIT, "kg_from_python: python3 failed on '%s':\n%s", folder, said) end
  return files.read(work .. '/output')
end

---What a Python file holds, or the problem that kept it from being read.
---@class PythonFacts
---@field triples string[][] head, relation, tail, head's type, tail's type
---@field code string[][] entity, text
---@field unnamed table<string, integer> by relation: constructs whose tail has no name
---@field problem string? 'syntax', 'not_utf8', 'too_deep', 'unreadable'
---@field message string?

---Reads Python files. Raises (exit 9) where there is no Python.
---@param folder string
---@param paths string[] below the folder
---@return PythonFacts[] one for each path
---@return string version of Python
return function(folder, paths)
  if not shell.has 'python3' then
    fail.raise(MACHINE_UNFIT, 'kg_from_python: python3 is not installed; on Debian: apt-get install python3')
  end
  local ok, work = shell.run 'mktemp -d'
  if not ok then fail.raise(MACHINE_UNFIT, 'kg_from_python: no temporary folder could be made: %s', work) end
  local finished, answer = pcall(run, folder, paths, work)
  shell.run('rm -rf ' .. shell.quote(work))
  if not finished then error(answer, 0) end
  local lines = {}
  for line in answer:gmatch '[^\n]+' do lines[#lines + 1] = dkjson.decode(line, 1, nil, nil, nil) end
  local version = table.remove(lines, 1).python
  return lines, version
end
