-- Globals of the prompt: library modules appear at their first use, and who() lists what the user made.
local columns = require 'base.columns'
local console = require 'console'
local pretty = require 'pretty'

local prompt_globals = {}

prompt_globals.LAZY = { 'torch', 'nn', 'optim', 'tscore', 'data', 'models', 'train', 'experiment' }

-- What Lua and the runner bring.
local known = { who = true, arg = true }
for name in ([[assert bit collectgarbage coroutine debug dofile error gcinfo getfenv getmetatable io ipairs jit load
  loadfile loadstring math module newproxy next os package pairs pcall print rawequal rawget rawset rawlen require
  select setfenv setmetatable string table tonumber tostring type unpack utf8 xpcall]]):gmatch '%w+' do
  known[name] = true
end

---Whether a global is the user's own.
---@param name any
---@return boolean
function prompt_globals.is_own(name)
  return type(name) == 'string' and not known[name] and name:sub(1, 1) ~= '_'
end

local function shape_text(value)
  local ok, shape = pcall(function() return value:size() end)
  if not ok or type(shape) ~= 'table' then return nil end
  return ('(%s)'):format(table.concat(shape, ', '))
end

local function bytes_of(value)
  local ok, bytes = pcall(function() return value:numel() * value:element_size() end)
  return ok and bytes or nil
end

local function size_text(bytes)
  if not bytes then return '' end
  if bytes < 1000 then return ('%d B'):format(bytes) end
  if bytes < 1e6 then return ('%.1f kB'):format(bytes / 1e3) end
  return ('%.1f MB'):format(bytes / 1e6)
end

-- "Tensor", "float32 (2, 3)", 24: type, what it holds, bytes.
local function describe(value)
  local meta = debug.getmetatable(value)
  local name = type(meta) == 'table' and rawget(meta, '__name') or type(value)
  name = name:match '[^.]*$'
  if name == 'Tensor' then
    local kind = tostring(value.dtype):gsub('^torch%.', '')
    return 'Tensor', ('%s %s'):format(kind, shape_text(value) or '()'), bytes_of(value)
  end
  if type(value) == 'userdata' then
    local ok, count = pcall(function() return value:parameter_count() end)
    if ok then return name, pretty.plural(count, 'parameter'), count * 4 end
    return name, '', nil
  end
  if type(value) == 'table' then
    if type(meta) == 'table' and meta.__tostring then return 'table', (tostring(value):gsub('\n.*', ' ...')), nil end
    local count = 0
    for _ in next, value do count = count + 1 end
    return 'table', pretty.plural(count, 'entry', 'entries'), nil
  end
  if type(value) == 'function' then return 'function', '', nil end
  return type(value), (pretty.inline(value):sub(1, 60)), nil
end

---Lists the user's variables: name, type, shape or value, bytes.
local function who()
  local rows = {}
  for _, name in ipairs(pretty.sorted_keys(_G)) do
    if prompt_globals.is_own(name) then
      local kind, what, bytes = describe(rawget(_G, name))
      rows[#rows + 1] = { name, kind, what, size_text(bytes) }
    end
  end
  if #rows == 0 then console.write 'no variables yet\n' end
  for _, line in ipairs(columns.lines(rows)) do console.write(line .. '\n') end
end

---Takes the user's globals away.
---@return integer count
function prompt_globals.reset()
  local names = {}
  for name in next, _G do
    if prompt_globals.is_own(name) then names[#names + 1] = name end
  end
  for _, name in ipairs(names) do rawset(_G, name, nil) end
  rawset(_G, '_LAST', nil)
  rawset(_G, '_RESULTS', nil)
  return #names
end

---Library modules become globals at their first use; a name that was local to a line is noted.
---@param session table
function prompt_globals.install(session)
  local lazy = {}
  for _, name in ipairs(prompt_globals.LAZY) do
    lazy[name], known[name] = true, true
  end
  rawset(_G, 'who', who)
  local previous = getmetatable(_G)
  local inherited = previous and previous.__index
  setmetatable(_G, { __newindex = previous and previous.__newindex, __index = function(globals, name)
    if lazy[name] then
      lazy[name] = nil -- asked once: a module that cannot be loaded says so once
      local value = require(name)
      rawset(globals, name, value)
      return value
    end
    if session.locals[name] then
      session.asked_locals = session.asked_locals or {}
      table.insert(session.asked_locals, name)
    end
    return inherited and inherited(globals, name)
  end })
end

return prompt_globals
