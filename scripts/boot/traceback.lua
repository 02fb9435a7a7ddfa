-- Errors as people read them: the message first, then the calls of their own code. Frames of the embedded library are
-- left out unless RUNNER_FULL_ERROR is set.
local fail = require 'fail'
local host = require 'host'

local traceback = {}

local DEEPEST = 60 -- lines; a runaway recursion has thousands

local HIDDEN_C = { error = true, pcall = true, xpcall = true, call = true }

local function is_inner(info)
  if info.what == 'C' then return info.name == nil or HIDDEN_C[info.name] ~= nil end
  return info.source:sub(1, 11) == '=[lanthorn]'
end

local function frame_text(info)
  local place = info.currentline > 0 and ('%s:%d'):format(info.short_src, info.currentline) or info.short_src
  if info.what == 'main' then return place .. ': in main chunk' end
  if info.name then
    return ("%s: in %s '%s'"):format(place, info.namewhat == 'method' and 'method' or 'function', info.name)
  end
  return ('%s: in function <%s:%d>'):format(place, info.short_src, info.linedefined)
end

---The stack as lines such as "  train.lua:12: in function 'step'".
---@param level integer stack level of the first line, 1 is the caller
---@return string[]
function traceback.lines(level)
  local lines, full = {}, host.getenv('RUNNER_FULL_ERROR') == '1'
  for depth = level + 1, math.huge do
    local info = debug.getinfo(depth, 'Snl')
    if not info then return lines end
    if #lines == DEEPEST then
      lines[#lines + 1] = '  ...'
      return lines
    end
    if full or not is_inner(info) then lines[#lines + 1] = '  ' .. frame_text(info) end
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

local Problem = {} -- metatable

---Calls f; on an error returns nil and { value =, message =, code =, trace = lines }. What an inner call returned
---may be raised again and keeps its stack.
---@param f function
---@return boolean ok, any ...
function traceback.call(f, ...)
  local arguments, count = { ... }, select('#', ...)
  local function pack(ok, ...)
    -- Without memory, or with an error in the handler, Lua gives its own message instead of the handler's.
    if not ok and type((...)) == 'string' then
      return false, { value = (...), message = (...), code = 1, trace = {} }
    end
    return ok, ...
  end
  return pack(xpcall(function() return f(unpack(arguments, 1, count)) end, function(err)
    if getmetatable(err) == Problem then return err end
    return setmetatable({ value = err, message = traceback.message(err), code = fail.code_of(err),
      trace = traceback.lines(2) }, Problem)
  end))
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
