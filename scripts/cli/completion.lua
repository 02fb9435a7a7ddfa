-- What Tab offers at the prompt: globals, fields and methods of the value before the dot, file names inside text. A
-- value whose names cannot be walked lists them itself: a metatable function `__complete(value) -> names`.
local host = require 'host'

local completion = {}

local KEYWORDS = { 'and', 'break', 'do', 'else', 'elseif', 'end', 'false', 'for', 'function', 'goto', 'if', 'in',
  'local', 'nil', 'not', 'or', 'repeat', 'return', 'then', 'true', 'until', 'while' }
local extra_globals = {}

---Globals that appear at their first use, so no table lists them yet.
---@param names string[]
function completion.add_globals(names)
  for _, name in ipairs(names) do extra_globals[name] = true end
end

local function collect(into, value, depth)
  if depth > 5 then return end
  local function add(key)
    if type(key) == 'string' and key:match('^[%a_][%w_]*$') then into[key] = true end
  end
  if type(value) == 'table' then
    for key in next, value do add(key) end
  end
  local meta = debug.getmetatable(value)
  if type(meta) ~= 'table' then return end
  local complete, index = rawget(meta, '__complete'), rawget(meta, '__index')
  if complete then
    for _, name in ipairs(complete(value)) do add(name) end
  end
  if type(index) == 'table' then collect(into, index, depth + 1) end
end

local function value_of(path)
  local value = _G
  for name in path:gmatch('[%a_][%w_]*') do
    if value == nil then return nil end
    value = value[name]
  end
  return value
end

local function starting_with(names, prefix)
  local found = {}
  for name in pairs(names) do
    -- Hidden names come up when asked for.
    if name:sub(1, #prefix) == prefix and (prefix ~= '' or name:sub(1, 1) ~= '_') then found[#found + 1] = name end
  end
  table.sort(found)
  return found, #prefix
end

local function file_names(text)
  local folder, prefix = text:match('^(.*/)([^/]*)$')
  folder, prefix = folder or './', prefix or text
  local names = {}
  for _, name in ipairs(host.listdir(folder) or {}) do
    local info = host.stat(folder .. name)
    names[info and info.type == 'dir' and name .. '/' or name] = true
  end
  return starting_with(names, prefix)
end

---Candidates for the word at the end of a text.
---@param text string the line up to the cursor
---@return string[] candidates whole words, sorted
---@return integer length of the word they replace
function completion.complete(text)
  local quoted = text:match('^[^\'"]*[\'"]([^\'"]*)$')
  if quoted then return file_names(quoted) end
  local path, word = text:match('([%w_.:]*[.:])([%w_]*)$')
  local names = {}
  if path then
    collect(names, value_of(path), 1)
  else
    word = text:match('[%w_]*$')
    collect(names, _G, 1)
    for name in pairs(extra_globals) do names[name] = true end
    for _, name in ipairs(KEYWORDS) do names[name] = true end
  end
  return starting_with(names, word)
end

return completion
