-- The prompt of `runner attach`: lines go to the training, and what it answers is printed.
local chunk = require 'prompt.chunk'
local connections = require 'attach.connection'
local console = require 'console'
local host = require 'host'
local pretty = require 'pretty'
local reader = require 'prompt.reader'
local sessions = require 'prompt.session'
local words = require 'prompt.words'

local client = {}

local POLL_S = 0.5
local COMPLETION_S = 1

-- The answer to a request. `said` notes waiting; Ctrl-C asks for the end of what runs, a second one stops waiting.
local function await(connection, id, seconds)
  local interrupts, stop = 0, seconds and host.now() + seconds
  while not stop or host.now() < stop do
    local message = connection:receive(seconds or POLL_S)
    if message == false then return false end
    if message and message.error then console.warn(message.error) end
    if message and message.id == id then
      if not message.wait then return message end
      if not seconds then console.warn(message.wait) end
    end
    if host.interrupted() then
      interrupts = interrupts + 1
      connections.interrupt()
      if interrupts > 1 then
        console.warn 'not waited for any longer; the line runs all the same when its turn comes'
        return nil
      end
    end
  end
  return nil
end

-- Runs one line; whether it worked, or nil when the training is gone.
local function run_line(connection, text)
  local id = connection:send { run = text, columns = host.columns() }
  local reply = id and await(connection, id)
  if not id or reply == false then
    console.warn 'the training is over'
    return nil
  end
  if not reply then return false end
  console.write(reply.text or '')
  io.stdout:flush() -- whoever reads a pipe waits for it
  return not reply.failed
end

local function leaves(text) return words.leaves(text) or text:match '^%s*detach%s*%(?%s*%)?%s*$' ~= nil end

-- `? name` and `?? word` are answered here; the rest is the training's.
local function act(connection, prompt, text)
  if words.is(text) and not text:match '^%s*%%' then return words.run(prompt, text) end
  if text:match '^%s*%%' then
    console.warn '%words are for the prompt of `runner`; here a line is Lua, and ? name explains'
    return false
  end
  return run_line(connection, text)
end

local function complete_by(connection)
  return function(text)
    local id = connection:send { complete = text }
    local reply = id and await(connection, id, COMPLETION_S)
    return reply and reply.candidates or {}, reply and reply.length or 0
  end
end

local function converse(connection, prompt)
  local history = reader.load_history()
  host.set_completer(complete_by(connection))
  host.watch_interrupt 'flag'
  while true do
    local text = reader.read(prompt.session)
    if not text or leaves(text) or host.leave_signal() then break end
    if text:match '%S' then
      host.add_history(text)
      if act(connection, prompt, text) == nil then break end
    end
  end
  host.watch_interrupt 'default'
  if history then host.history_save(history) end
end

-- Lines of a pipe, or of -e. Whether all of them worked.
local function run_all(connection, prompt, lines)
  local all, text = true, nil
  host.watch_interrupt 'flag'
  for line in lines do
    text = text and text .. '\n' .. line or line
    if leaves(text) then break end
    if words.is(text) or not select(3, chunk.compile(text, 1)) then
      local worked = not text:match '%S' or act(connection, prompt, text)
      if worked == nil then return false end
      all, text = all and worked, nil
    end
  end
  -- What is unfinished is sent all the same: the answer says what is missing.
  if text and not leaves(text) and not act(connection, prompt, text) then all = false end
  host.watch_interrupt 'default'
  return all
end

-- Whether all that was asked worked.
local function attached(connection, code)
  local prompt, at = { session = sessions.new(), globals = {}, by = 'attach' }, 0
  if #code > 0 then
    return run_all(connection, prompt, function()
      at = at + 1
      return code[at]
    end)
  end
  if not host.isatty(0) then return run_all(connection, prompt, reader.lines()) end
  local hello = connection.hello
  console.write(('attached to %s at update %s of %s\n'):format(connection.name, pretty.count(hello.step or 0),
    pretty.count(hello.steps or 0)))
  console.write 'fit.lr = 1e-3, fit:eval(), fit:sample(), fit:pause(); detach leaves it training\n'
  converse(connection, prompt)
  return true
end

---Attaches to a run until the user leaves or the training ends. Gives the exit code.
---@param run { experiment: string, id: string, path: string }
---@param code string[] lines to run in place of a prompt
---@return integer
function client.attach(run, code)
  local connection = connections.open(run)
  local ok, worked = pcall(attached, connection, code)
  connections.close()
  if not ok then error(worked, 0) end
  return reader.signal_code() or (worked and 0 or 1)
end

return client
