-- Programs of the system, and what they said when they failed.
local shell = {}

---A word as the shell reads it back.
---@param word string
---@return string
function shell.quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

---Runs a command with stdin closed.
---@param command string
---@return string output stdout and stderr
---@return integer? code nil when the shell did not come to its end
function shell.output(command)
  local pipe = io.popen(('{ %s\n} 2>&1 </dev/null; echo "<exit $?>"'):format(command))
  if not pipe then return 'no shell could be started', nil end
  local output = pipe:read '*a'
  pipe:close()
  local text, code = output:match '^(.*)<exit (%d+)>\n$'
  return text or output, tonumber(code)
end

---Runs a command with stdin closed, for whether it worked.
---@param command string
---@return boolean ok, string said the last line that it wrote, that of an error before others; "" when it wrote none
function shell.run(command)
  local output, code = shell.output(command)
  local last, problem = '', nil
  for line in output:gmatch '[^\n]+' do
    last = line
    if line:find '^E: ' or line:find 'No space left' then problem = problem or line end
  end
  return code == 0, problem or last
end

---Whether a program is there.
---@param program string
---@return boolean
function shell.has(program)
  return (shell.run('command -v ' .. shell.quote(program)))
end

return shell
