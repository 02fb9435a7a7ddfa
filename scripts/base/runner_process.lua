-- This runner again, in a process of its own, with its results in a folder of its own.
local host = require 'host'
local shell = require 'base.shell'

local runner_process = {}

---Runs this runner with stdin closed.
---@param root string what RUNNER_RESULTS_DIR is
---@param words string[]
---@return string output stdout and stderr
---@return integer code
function runner_process.run(root, words)
  local line = { ('RUNNER_RESULTS_DIR=%s'):format(shell.quote(root)), shell.quote(host.folder .. '/runner') }
  for _, word in ipairs(words) do line[#line + 1] = shell.quote(word) end
  return shell.output(table.concat(line, ' '))
end

return runner_process
