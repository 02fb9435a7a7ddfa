-- LuaCATS stubs from API rows. Native rows carry ATen's schema grammar, such as
--   sum.dim(Tensor self, int[1] dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor
-- library rows carry the tags of their doc comments.
local stubs = {}

local TYPES = { Tensor = 'Tensor', int = 'integer', SymInt = 'integer', float = 'number', Scalar = 'number|Tensor',
  bool = 'boolean', str = 'string', Device = 'string', ScalarType = 'string', Layout = 'string', MemoryFormat = 'string',
  Any = 'any', dtype = 'string', device = 'string', ['function'] = 'function', table = 'table' }

-- Names that are keywords of Lua cannot be parameters.
local KEYWORDS = { ['end'] = true, ['repeat'] = true, ['function'] = true, ['in'] = true, ['not'] = true, ['and'] = true,
  ['or'] = true, ['local'] = true, ['until'] = true, ['then'] = true }

---The LuaCATS type of a schema type: "int[2]?" is integer[]|nil.
---@param text string
---@return string
function stubs.type_of(text)
  if text:find('|', 1, true) then
    local kinds = {}
    for kind in text:gmatch('[^|]+') do kinds[#kinds + 1] = stubs.type_of(kind) end
    return table.concat(kinds, '|')
  end
  local base, optional = text:gsub('%(%l!?[^)]*%)', ''):match('^%s*(.-)(%??)%s*$')
  local element = base:match('^(.-)%??%[%d*%]$')
  local name = (element or base):gsub('%?$', '')
  local mapped = TYPES[name] or (name:match('^[%a_][%w_.]*$') and name) or 'any'
  if element then mapped = (mapped:find('|', 1, true) and '(' .. mapped .. ')' or mapped) .. '[]' end
  return mapped .. (optional == '?' and '|nil' or '')
end

-- Splits at commas outside brackets and text.
local function split(text)
  local parts, depth, quote, start = {}, 0, nil, 1
  for i = 1, #text do
    local c = text:sub(i, i)
    if quote then
      if c == quote then quote = nil end
    elseif c == '"' or c == "'" then
      quote = c
    elseif c:find('[%[({]') then
      depth = depth + 1
    elseif c:find('[%])}]') then
      depth = depth - 1
    elseif c == ',' and depth == 0 then
      parts[#parts + 1] = text:sub(start, i - 1)
      start = i + 1
    end
  end
  if text:sub(start):find('%S') then parts[#parts + 1] = text:sub(start) end
  return parts
end

---Arguments and results of a schema; nil when it is not in the grammar.
---@param signature string
---@return { type: string, name: string, default: string?, keyword: boolean }[]? arguments, string[]? results
function stubs.parse(signature)
  local head, results = signature:match('^(.-)%s*%->%s*(.*)$')
  head, results = head or signature, results or '()'
  local list = head:match('^[%w_.:]+%((.*)%)$')
  if not list then return nil end
  local arguments, keyword = {}, false
  for _, part in ipairs(split(list)) do
    part = part:match('^%s*(.-)%s*$')
    local default = part:match('=(.*)$')
    local kind, name = part:gsub('=.*$', ''):match('^(.-)%s+([%a_][%w_]*)$')
    if part == '*' then
      keyword = true
    elseif part == '...' then
      arguments[#arguments + 1] = { type = 'any', name = '...', keyword = false }
    elseif part:match('^[%a_][%w_]*$') then
      arguments[#arguments + 1] = { type = 'any', name = part, keyword = false }
    elseif kind then
      arguments[#arguments + 1] = { type = stubs.type_of(kind), name = name, default = default, keyword = keyword }
    else
      return nil
    end
  end
  local types = {}
  for _, part in ipairs(split(results:match('^%((.*)%)$') or results)) do
    part = part:gsub('^%s+', ''):gsub('%s+[%a_][%w_]*$', '')
    types[#types + 1] = part == '...' and 'any ...' or stubs.type_of(part)
  end
  return arguments, types
end

local function parameter_name(name)
  return KEYWORDS[name] and name .. '_' or name
end

local function schema_lines(row)
  local arguments, results = stubs.parse(row.signature)
  local name = row.name
  if not arguments then return { ('function %s(...) end'):format(name) } end
  local lines, names = {}, {}
  local method = arguments[1] and arguments[1].name == 'self' and name:find(':', 1, true)
  for i, argument in ipairs(arguments) do
    if not (method and i == 1) then
      local optional = argument.default and '?' or ''
      local text = argument.default and ' default ' .. argument.default or ''
      if argument.keyword then text = text .. ' (by name, in a last table)' end
      local shown = parameter_name(argument.name)
      lines[#lines + 1] = ('---@param %s%s %s%s'):format(shown, optional, argument.type, text)
      names[#names + 1] = shown
    end
  end
  for _, kind in ipairs(results) do lines[#lines + 1] = '---@return ' .. kind end
  lines[#lines + 1] = ('function %s(%s) end'):format(name, table.concat(names, ', '))
  return lines
end

local function library_lines(row)
  local lines = {}
  for _, param in ipairs(row.lua.params) do lines[#lines + 1] = '---@param ' .. param end
  for _, kind in ipairs(row.lua.returns) do lines[#lines + 1] = '---@return ' .. kind end
  lines[#lines + 1] = ('function %s(%s) end'):format(row.name, row.lua.arguments)
  return lines
end

-- Tables that must exist before a function of theirs: "a.b" for a.b.f and a.b:m.
local function declare_holders(name, known, out)
  local path = ''
  for part in name:gmatch('([%w_]+)[.:]') do
    path = path == '' and part or path .. '.' .. part
    if not known[path] then
      known[path] = true
      out[#out + 1] = ('---@class %s\n%s = {}\n'):format(path, path)
    end
  end
end

---The LuaCATS file of all rows, in their order.
---@param rows table[]
---@return string
function stubs.render(rows)
  local out, known = { '---@meta\n-- Generated by `runner api --stubs`; do not edit.\n' }, {}
  for _, row in ipairs(rows) do
    declare_holders(row.name, known, out)
    local lines = {}
    if row.doc ~= '' then lines[1] = '---' .. row.doc:gsub('\n', '\n---') end
    for _, line in ipairs(row.lua and library_lines(row) or schema_lines(row)) do lines[#lines + 1] = line end
    out[#out + 1] = table.concat(lines, '\n') .. '\n'
  end
  return table.concat(out, '\n')
end

return stubs
