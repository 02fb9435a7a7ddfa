-- Reading at a terminal: lines until they make a chunk, pastes as one chunk, the history.
local chunk = require 'prompt.chunk'
local console = require 'console'
local files = require 'files'
local host = require 'host'
local words = require 'prompt.words'

local reader = {}

local function history_path()
  local path = host.getenv('RUNNER_HISTORY') or host.getenv('TREPL_HISTORY')
  if path then return path end
  local home = host.getenv('HOME')
  local state = host.getenv('XDG_STATE_HOME') or (home and home .. '/.local/state')
  if not state then return nil end
  files.make_folder(state .. '/lanthorn') -- without it there is no history, and the prompt works all the same
  return state .. '/lanthorn/history'
end

---Loads the history; gives its file, nil where there is no place for one. Saving makes a file its owner's alone, so
---what is no plain file, such as /dev/null, is left alone.
---@return string?
function reader.load_history()
  local path = history_path()
  local info = path and host.stat(path)
  if not path or info and info.type ~= 'file' then return nil end
  host.history_load(path)
  return path
end

local interrupted = false

---The lines of a pipe. They end where a signal comes while one is waited for.
---@return fun(): string?
function reader.lines()
  interrupted = false
  return function()
    local line, message = io.read '*l'
    interrupted = line == nil and message ~= nil and host.interrupted()
    return line
  end
end

---The exit code of a signal that ended the reading, or came for the process meanwhile; nil without one.
---@return integer?
function reader.signal_code()
  local signal = host.leave_signal()
  return signal and 128 + signal or interrupted and 130 or nil
end

-- Lines that a paste brought and that did not make one chunk: they are read again, one by one.
local queue = {}

local function read_line(mark)
  if #queue > 0 then return table.remove(queue, 1) end
  return host.readline(mark)
end

-- The lines of a paste as one text where they make one chunk, or the beginning of one; else they are taken one by one.
local function join_paste(first)
  local lines, more = { first }, true
  while more do
    local line, _, rest = host.readline '>> '
    lines[#lines + 1], more = line, rest
  end
  local text = table.concat(lines, '\n')
  local _, message, incomplete = chunk.compile(text, 1)
  if not message or incomplete then return text end
  table.remove(lines, 1)
  queue = lines
  return first
end

---Reads lines until they make a chunk. nil at the end of the input; '' after Ctrl-C.
---@param session table
---@return string?
function reader.read(session)
  local text, mark = nil, '> '
  while true do
    session.pending = text or ''
    local line, reason, pasted = read_line(mark)
    if not line then
      console.write('\n')
      return reason and '' or nil
    end
    if pasted then line = join_paste(line) end
    -- An empty line gives up: the message says what is missing. One in a pasted block belongs to it.
    if text and line:match('^%s*$') and #queue == 0 and not host.more_typed() then return text end
    text = text and text .. '\n' .. line or line
    if words.is(text) or words.leaves(text) then return text end
    local _, _, incomplete = chunk.compile(text, 1)
    if not incomplete then return text end
    mark = '>> '
  end
end

return reader
