-- What a prompt remembers: its lines, what worked, the results, and names that were local to a line.
local sources = require 'boot.sources'

local session = {}
session.__index = session

---@return table
function session.new()
  return setmetatable({ lines = {}, accepted = {}, pending = '', locals = {}, told_locals = {},
    user_globals = {} }, session)
end

---Notes an input; gives the number of its first line.
---@param text string
---@return integer first_line
function session:note(text)
  local first = #self.lines + 1
  for line in (text .. '\n'):gmatch '([^\n]*)\n' do self.lines[#self.lines + 1] = line end
  return first
end

---An input that worked: %save writes it, and a run that begins later keeps it among its sources.
---@param text string
function session:accept(text)
  self.accepted[#self.accepted + 1] = text
  if not self.source then
    self.source = { path = 'prompt.lua', text = '' }
    sources.files[#sources.files + 1] = self.source
  end
  self.source.text = self.source.text .. text .. '\n'
end

---Keeps a value as _LAST and in _RESULTS.
---@param globals table
---@param value any
function session.keep(globals, value)
  rawset(globals, '_LAST', value)
  local results = rawget(globals, '_RESULTS') or {}
  results[#results + 1] = value
  rawset(globals, '_RESULTS', results)
end

return session
