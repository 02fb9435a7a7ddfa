-- What a script prints. stdout carries data; stderr carries words for people. Everything printed also goes to a sink,
-- the stdout.log of the run directory, once there is one; until then it is kept.
local encoding = require 'base.encoding'
local host = require 'host'

-- diverted: what is printed goes to stderr, where only one part of a command's output is data.
local console = { sink = nil, quiet = false, diverted = false }

local KEPT_LIMIT = 2 ^ 20 -- a script that prints for hours without a run directory must not fill the memory
local kept, kept_bytes = {}, 0

-- Whether a write works or not is nobody's concern: the run goes on (guard G41).
local function put(file, text)
  pcall(file.write, file, text)
end

-- While a client of `runner attach` has its line run, what the line prints is the client's.
local captured

local function record(text)
  text = encoding.escape(text, true)
  if console.sink then return console.sink(text) end
  if kept_bytes + #text > KEPT_LIMIT then return nil end
  kept[#kept + 1], kept_bytes = text, kept_bytes + #text
  return nil
end

---Writes text to stdout and to the sink: as it is, but for odd bytes on a terminal. A console that fails never stops
---a run.
---@param text string
function console.write(text)
  if captured then
    captured[#captured + 1] = text
    return
  end
  local file, number = console.diverted and io.stderr or io.stdout, console.diverted and 2 or 1
  put(file, host.isatty(number) and encoding.escape(text, encoding.is_unicode()) or text)
  record(text)
end

---The runner's print.
function console.print(...)
  local parts = {}
  for i = 1, select('#', ...) do parts[i] = tostring((select(i, ...))) end
  console.write(table.concat(parts, '\t') .. '\n')
end

---Writes one line for people to stderr; `--quiet` silences it.
---@param text string
function console.note(text)
  if console.quiet then return end
  console.warn(text)
end

---Writes one line for people to stderr, always; odd bytes as \xNN.
---@param text string
function console.warn(text)
  if captured then
    captured[#captured + 1] = text .. '\n'
    return
  end
  pcall(io.stdout.flush, io.stdout) -- both may be one terminal or file
  put(io.stderr, encoding.escape(text, encoding.is_unicode()) .. '\n')
  record(text .. '\n')
end

---Sends everything printed, also before this call, to a function.
---@param sink fun(text: string)
function console.attach(sink)
  console.sink = sink
  if #kept > 0 then sink(table.concat(kept)) end
  kept, kept_bytes = {}, 0
end

---Ends the recording.
function console.detach()
  console.sink = nil
end

---Calls f; what is printed meanwhile comes back as text, and is seen nowhere else.
---@param columns integer how wide it may be
---@param f function
---@return string printed
---@return any ... what pcall gives of f
function console.capture(columns, f, ...)
  local before, before_columns = captured, console.own_columns
  local mine = {}
  captured, console.own_columns = mine, columns
  local function done(...)
    captured, console.own_columns = before, before_columns
    return table.concat(mine), ...
  end
  return done(pcall(f, ...))
end

---The width of the terminal that sees what is printed.
---@return integer
function console.columns()
  return console.own_columns or host.columns()
end

---Whether colours may be used on a stream: a terminal, and NO_COLOR not set.
---@param fd integer
---@return boolean
function console.has_colour(fd)
  if captured then return false end
  local forced = host.getenv('CLICOLOR_FORCE')
  if forced and forced ~= '0' then return true end
  return host.isatty(fd) and not host.getenv('NO_COLOR') and host.getenv('TERM') ~= 'dumb'
end

---Makes the global print record what it prints.
function console.install()
  _G.print = console.print
end

return console
