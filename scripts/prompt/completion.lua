-- What Tab offers at the prompt: globals, fields and methods of the value before the dot, options inside the table of a
-- call, %words, file names inside text. A value whose names cannot be walked lists them itself: a metatable function
-- `__complete(value) -> names`.
local host = require 'host'
local option_keys = require 'prompt.option_keys'
local room = require 'base.room'

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

-- The value of "a.b[2].c": names and whole numbers in brackets.
local function value_of(path, globals)
  local value = globals
  for part in path:gmatch '[%w_]+' do
    if value == nil then return nil end
    value = value[tonumber(part) or part]
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

-- After %word, and after the words that take a file.
local function magic_words(text)
  local word = text:match '^%s*%%(%a*)$'
  if word then
    local names = {}
    for _, name in ipairs(room.names 'prompt/magic') do names[name] = true end
    return starting_with(names, word)
  end
  local path = text:match '^%s*%%run%s+(%S*)$' or text:match '^%s*%%edit%s+(%S*)$' or text:match '^%s*%%save%s+(%S*)$'
  if path then return file_names(path) end
  return nil
end

-- Whether the text ends inside a quotation, and what stands in it so far.
local function open_quote(text)
  local quote, start
  local i = 1
  while i <= #text do
    local c = text:sub(i, i)
    if quote then
      if c == '\\' then
        i = i + 1
      elseif c == quote then
        quote = nil
      end
    elseif c == '"' or c == "'" then
      quote, start = c, i + 1
    end
    i = i + 1
  end
  return quote and text:sub(start) or nil
end

---Candidates for the word at the end of a text.
---@param text string the line up to the cursor
---@param before? string the lines before it
---@param globals? table _G
---@return string[] candidates whole words, sorted
---@return integer length of the word they replace
function completion.complete(text, before, globals)
  globals = globals or _G
  local found, length = magic_words(text)
  if found then return found, length end
  local quoted = open_quote(text)
  if quoted then return file_names(quoted) end
  local path, word = text:match '([%a_][%w_.:%[%]]*[.:])([%w_]*)$'
  local names = {}
  if path then
    collect(names, value_of(path, globals), 1)
    return starting_with(names, word)
  end
  word = text:match('[%w_]*$')
  local options = option_keys.at((before or '') .. text:sub(1, #text - #word))
  local is_key = options and text:sub(1, #text - #word):match '[{,]%s*$'
  if is_key then
    found, length = starting_with(options, word)
    if #found > 0 then return found, length end
  end
  collect(names, globals, 1)
  for name in pairs(extra_globals) do names[name] = true end
  for _, name in ipairs(KEYWORDS) do names[name] = true end
  return starting_with(names, word)
end

return completion
