-- Errors as people read them: the message first, then the calls of their own code. Frames of the embedded library are
-- left out unless RUNNER_FULL_ERROR is set.
local fail = require 'fail'
local host = require 'host'

local traceback = {}

local function is_inner(line)
  return line:find('%[lanthorn%]/') or line:find("%[C%]: in function '[xp]*call'")
    or line:find("%[C%]: in function 'error'") or line:find('%[C%]: at 0x')
end

---The stack as lines such as "  train.lua:12: in function 'step'".
---@param level integer stack level of the first line, 1 is the caller
---@return string[]
function traceback.lines(level)
  local lines, full = {}, host.getenv('RUNNER_FULL_ERROR') == '1'
  for line in debug.traceback('', level + 1):gmatch('\n\t([^\n]+)') do
    if full or not is_inner(line) then lines[#lines + 1] = '  ' .. line end
  end
  return lines
end

---Text of a caught value.
---@param err any
---@return string
function traceback.message(err)
  local text = (type(err) == 'string' or fail.is(err)) and tostring(err) or nil
  if text then return text end
  local meta = getmetatable(err)
  if type(meta) == 'table' and meta.__tostring then return tostring(err) end
  return ('(error value is a %s: %s)'):format(type(err), tostring(err))
end

---Calls f; on an error returns nil and { value =, message =, code =, trace = lines }.
---@param f function
---@return boolean ok, any ...
function traceback.call(f, ...)
  local arguments, count = { ... }, select('#', ...)
  return xpcall(function() return f(unpack(arguments, 1, count)) end, function(err)
    return { value = err, message = traceback.message(err), code = fail.code_of(err), trace = traceback.lines(2) }
  end)
end

---Prints what traceback.call returned to stderr. The stack is shown for script errors only: the other codes are about
---the command line, config or data, and their message says it all.
---@param problem table
function traceback.report(problem)
  local out = { 'error: ' .. problem.message }
  if problem.code == 1 or host.getenv('RUNNER_FULL_ERROR') == '1' then
    for _, line in ipairs(problem.trace) do out[#out + 1] = line end
  end
  require('console').warn(table.concat(out, '\n'))
end

return traceback
