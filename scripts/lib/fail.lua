-- Errors with an exit code. The error value is a table { message =, code = } that behaves like its message: tostring,
-- `..` and string methods work. Native code raises the same values: both share the metatable "lanthorn.error" of the
-- Lua registry.
local fail = {}

local USAGE, CONFIG, DATA = 2, 3, 4

local registry = debug.getregistry()
local meta = registry['lanthorn.error'] or {}
registry['lanthorn.error'] = meta

function meta.__tostring(err)
  return rawget(err, 'message')
end

function meta.__concat(a, b)
  return tostring(a) .. tostring(b)
end

-- err:match(...) and the other string methods.
function meta.__index(_, key)
  local method = string[key]
  if not method then return nil end
  return function(self, ...) return method(tostring(self), ...) end
end

---Where the user's code stands: "file:line: " of the first stack level outside the library, or "" when there is none.
---@return string
function fail.position()
  for level = 3, 200 do
    local info = debug.getinfo(level, 'Sl')
    if not info then return '' end
    if info.what ~= 'C' and info.source:sub(1, 11) ~= '=[lanthorn]' and info.currentline > 0 then
      return ('%s:%d: '):format(info.short_src, info.currentline)
    end
  end
  return ''
end

---Raises an error that ends the process with `code` when nobody catches it.
---@param code integer
---@param message string
function fail.raise(code, message, ...)
  local text = select('#', ...) > 0 and message:format(...) or message
  error(setmetatable({ message = fail.position() .. text, code = code, text = text }, meta), 0)
end

---Takes the position off an error whose cause is the command line and not the line of the script that met it.
---@param err any a caught value
---@return any err
function fail.without_position(err)
  if fail.is(err) and rawget(err, 'text') then err.message = rawget(err, 'text') end
  return err
end

---Raises a command line error (exit 2). Further arguments are for string.format.
---@param message string
function fail.usage(message, ...)
  return fail.raise(USAGE, message, ...)
end

---Raises a config, override or plan error (exit 3).
---@param message string
function fail.config(message, ...)
  return fail.raise(CONFIG, message, ...)
end

---Raises a data error (exit 4).
---@param message string
function fail.data(message, ...)
  return fail.raise(DATA, message, ...)
end

---Whether a caught value came from fail or from native code.
---@param err any
---@return boolean
function fail.is(err)
  return type(err) == 'table' and getmetatable(err) == meta
end

---The exit code for a caught value; 1 for anything that is not ours.
---@param err any
---@return integer
function fail.code_of(err)
  return fail.is(err) and rawget(err, 'code') or 1
end

return fail
