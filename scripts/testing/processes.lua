-- Processes in the background. Whoever waits has a deadline and learns what did not come; else no time decides a test.
--   local process = require 'testing.processes'.start('exec sleep 60', path)
--   process:wait_until('a first line', function() return process:output():find '\n' end)
--   process:signal 'TERM'
--   local output, code = process:wait()
local at_exit = require 'boot.at_exit'
local fail = require 'fail'
local host = require 'host'
local read = require 'base.read_file'
local testing = require 'testing'

local processes = {}

local Process = {}
Process.__index = Process

---Starts a command of the shell whose last part is `exec program`, so that the process is the program's. One that still
---runs when the script ends is killed.
---@param command string
---@param path string begins the names of the files that hold its output and its exit code
---@return table process `pid` is its id
function processes.start(command, path)
  local process = setmetatable({ path = path }, Process)
  os.remove(path .. '.code')
  os.remove(path .. '.pid')
  local inner = testing.quote(('echo $$ >%s.pid; %s'):format(path, command))
  testing.shell(('{ ( sh -c %s; echo $? >%s.end; mv %s.end %s.code ) >%s.out 2>&1 & }')
    :format(inner, path, path, path, path))
  process.pid = testing.wait_until('the process of ' .. command, function()
    return (read(path .. '.pid') or ''):match '^(%d+)\n'
  end)
  at_exit.add(function()
    if not process:ended() then process:signal 'KILL' end
  end)
  return process
end

---What it has written so far, to stdout and stderr.
---@return string
function Process:output()
  return read(self.path .. '.out') or ''
end

---Sends it a signal.
---@param name string "TERM", "KILL", "STOP" ...
function Process:signal(name)
  testing.shell(('kill -%s %s'):format(name, self.pid))
end

---Whether it has ended.
---@return boolean
function Process:ended()
  return host.stat(self.path .. '.code') ~= nil
end

---Waits until `holds` gives something true, which it returns. Fails at the deadline, or when the process has ended.
---@param what string what is waited for
---@param holds function
---@param seconds? number
function Process:wait_until(what, holds, seconds)
  return testing.wait_until(what, function()
    local ended = self:ended() -- asked first: what it did last is seen below
    local found = holds()
    if ended and not found then fail.raise(1, ('the process ended without %s: %s'):format(what, self:output())) end
    return found
  end, seconds, function() return self:output() end)
end

---Waits until a file, which need not exist yet, has this text in it.
---@param path string
---@param text string
function Process:wait_for_text(path, text)
  self:wait_until(("'%s' in %s"):format(text, path), function() return (read(path) or ''):find(text, 1, true) end)
end

---Waits for its end.
---@return string output, integer code
function Process:wait()
  testing.wait_until('the end of the process', function() return self:ended() end, nil, function()
    return self:output()
  end)
  return self:output(), tonumber(read(self.path .. '.code'))
end

return processes
