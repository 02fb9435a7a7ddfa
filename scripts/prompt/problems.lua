-- Errors at the prompt: the message, the line of source that it is about, and the calls of the user's own code.
local console = require 'console'
local host = require 'host'
local sources = require 'boot.sources'

local problems = {}

local function line_of(text, wanted)
  local number = 0
  for line in (text .. '\n'):gmatch '([^\n]*)\n' do
    number = number + 1
    if number == wanted then return line end
  end
  return nil
end

-- The line of source at a place: of the prompt's own input, or of a file that was loaded.
local function source_line(session, name, number)
  if name == 'stdin' then return session.lines[number] end
  for _, file in ipairs(sources.files) do
    if file.path == name then return line_of(file.text, number) end
  end
  return nil
end

-- "  12 | y = x:mm(z)" for a message that begins with a place.
local function quoted(session, message)
  local name, number = message:match '^([^\n:]+):(%d+):'
  local line = number and source_line(session, name, tonumber(number))
  if not line or not line:find '%S' then return nil end
  return ('  %s | %s'):format(number, (line:gsub('^%s+', '')))
end

---Tells a problem of traceback.call. The stack is shown where it says more than the message does.
---@param session table
---@param problem { message: string, code: integer, trace: string[] }
---@param paint fun(text: string, kind: string): string
function problems.report(session, problem, paint)
  local out = { paint('error: ', 'error') .. problem.message }
  out[#out + 1] = quoted(session, problem.message)
  local full = host.getenv 'RUNNER_FULL_ERROR' == '1'
  local trace, calls = problem.trace or {}, 0
  for _, line in ipairs(trace) do
    if not line:find '^%s*%[C%]' then calls = calls + 1 end
  end
  if full or problem.code == 1 and calls > 1 then
    for _, line in ipairs(trace) do out[#out + 1] = line end
  end
  console.warn(table.concat(out, '\n'))
end

---Tells what the parser did not understand.
---@param session table
---@param message string
---@param paint fun(text: string, kind: string): string
function problems.syntax(session, message, paint)
  problems.report(session, { message = message, code = 3 }, paint)
end

return problems
