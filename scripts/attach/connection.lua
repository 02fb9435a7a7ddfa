-- A client's connection to a running training, line by line (engine/attach has the protocol).
local dkjson = require 'dkjson'
local fail = require 'fail'
local host = require 'host'
local run_files = require 'runs.files'

local connection = {}
connection.__index = connection

connection.SOCKET = 'attach.sock' -- in the run's folder
local HELLO_S = 5

-- Why there is nothing to attach to, in one sentence.
local function explain(run, name)
  local state = run_files.state(run.path)
  local status = run_files.read_json(run.path .. '/status.json') or {}
  if state.state == 'dead' then
    fail.usage("run %s died at update %s; `runner resume %s` goes on with it", name, tostring(state.step or '?'), name)
  end
  if state.state ~= 'RUNNING' and state.state ~= 'QUEUED' then
    fail.usage("run %s is over: %s; `runner show %s` tells about it", name, state.state, name)
  end
  if status.host and status.host ~= host.hostname() then
    fail.usage("run %s works on the host '%s'; attach there: ssh %s runner attach %s", name, status.host, status.host,
      name)
  end
  return state
end

local function cannot_connect(name, message, code)
  local errors = host.socket_errors
  if code == errors.denied then
    fail.usage("run %s belongs to another user, who alone may attach to it", name)
  elseif code == errors.missing or code == errors.refused then
    fail.usage('run %s lets nobody in yet: attach when its first update is made', name)
  end
  fail.usage('run %s: %s', name, message)
end

---Connects to a run.
---@param run { experiment: string, id: string, path: string }
---@return table connection with `hello`
function connection.open(run)
  local name = run.experiment .. '/' .. run.id
  explain(run, name)
  local ok, message, code = host.socket_connect(run.path, connection.SOCKET)
  if not ok then cannot_connect(name, message, code) end
  local self = setmetatable({ buffer = '', number = 0, name = name }, connection)
  local first = self:receive(HELLO_S)
  if not first or not first.hello then
    host.socket_close()
    fail.usage('run %s: %s', name, first and first.error or 'it does not answer')
  end
  self.hello = first.hello
  return self
end

---The next message; nil after so many seconds or a signal, false when the other end is gone.
---@param seconds number
---@return table|false|nil
function connection:receive(seconds)
  local stop = host.now() + seconds
  while true do
    local line, rest = self.buffer:match '^([^\n]*)\n(.*)$'
    if line then
      self.buffer = rest
      return dkjson.decode(line)
    end
    local text = host.socket_receive(math.max(0, stop - host.now()))
    if text == '' then return false end
    if not text then return nil end
    self.buffer = self.buffer .. text
  end
end

---Sends a request; gives its number, nil when the other end is gone.
---@param request table
---@return integer?
function connection:send(request)
  self.number = self.number + 1
  request.id = self.number
  return host.socket_send(dkjson.encode(request) .. '\n') and self.number or nil
end

---Asks for the end of what runs for this client.
function connection.interrupt()
  host.socket_send '{"interrupt":true}\n'
end

---@return nil
function connection.close()
  host.socket_close()
end

return connection
