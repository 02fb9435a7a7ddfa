-- Reads command line overrides:
--   path=value set an existing key   +path=value add a new one   ++path=value set or add   ~path remove
-- path = key { "." key }; items of lists by 1-based number. The values stay untyped nodes, because what `123` means is
-- decided by the default it replaces (tree.lua):
--   { kind = "bare" | "quoted", text = }   { kind = "list", items = {nodes} }
--   { kind = "table", names =, fields = {nodes} }
local fail = require 'fail'

local overrides = {}

local BARE = '^[^%s,%[%]{}()=;\'"~]+'
local parse_value

local function syntax_error(state, found_at, expected, advice)
  local found = found_at > #state.text and 'the end' or ("'%s'"):format(state.text:sub(found_at, found_at))
  fail.config("override '%s': expected %s at %s; %s", state.whole, expected, found,
    advice or 'quote text that contains spaces or any of ,[]{}()=;~')
end

local function skip_blanks(state, at)
  return state.text:find('[^%s]', at) or #state.text + 1
end

local function parse_list(state, at)
  local items = {}
  at = skip_blanks(state, at + 1)
  while state.text:sub(at, at) ~= ']' do
    if #items > 0 then
      if state.text:sub(at, at) ~= ',' then syntax_error(state, at, "',' or ']'") end
      at = skip_blanks(state, at + 1)
    end
    items[#items + 1], at = parse_value(state, at)
    at = skip_blanks(state, at)
  end
  return { kind = 'list', items = items }, at + 1
end

local function parse_table(state, at)
  local names, fields = {}, {}
  at = skip_blanks(state, at + 1)
  while state.text:sub(at, at) ~= '}' do
    if #names > 0 then
      if state.text:sub(at, at) ~= ',' then syntax_error(state, at, "',' or '}'") end
      at = skip_blanks(state, at + 1)
    end
    local name, after = state.text:match('^([%a_][%w_]*)%s*=()', at)
    if not name then
      local items = #names == 0 and state.text:match('^([^%[%]{}=]*)}', at)
      syntax_error(state, at, 'key=value', items and ('a list is written [%s]'):format(items))
    end
    if fields[name] then fail.config("override '%s': key '%s' is given twice", state.whole, name) end
    names[#names + 1] = name
    fields[name], at = parse_value(state, skip_blanks(state, after))
    at = skip_blanks(state, at)
  end
  return { kind = 'table', names = names, fields = fields }, at + 1
end

function parse_value(state, at)
  local first = state.text:sub(at, at)
  if first == '[' then return parse_list(state, at) end
  if first == '{' then return parse_table(state, at) end
  if first == "'" or first == '"' then
    local close = state.text:find(first, at + 1, true)
    if not close then syntax_error(state, #state.text + 1, 'a closing ' .. first) end
    return { kind = 'quoted', text = state.text:sub(at + 1, close - 1) }, close + 1
  end
  local bare = state.text:match(BARE, at)
  if not bare then syntax_error(state, at, 'a value') end
  return { kind = 'bare', text = bare }, at + #bare
end

local AXIS_FUNCTIONS = { range = true, uniform = true, loguniform = true, choice = true }

---Raises the error for a sweep axis given where one value is expected.
---@param text string
function overrides.refuse_axis(text)
  fail.config("'%s' asks for several runs (runner sweep), and this is one; a list is written [a,b]", text)
end

---Parses one value, such as "[1,2]" or "{lr=0.1}".
---@param text string
---@param whole? string the override it stands in, for messages
---@return table node
function overrides.parse_value(text, whole)
  local state = { text = text, whole = whole or text }
  if text == '' then fail.config("override '%s': the value is empty; write '' for empty text", state.whole) end
  if AXIS_FUNCTIONS[text:match('^(%l+)%(')] then overrides.refuse_axis(state.whole) end
  local node, at = parse_value(state, 1)
  at = skip_blanks(state, at)
  if text:sub(at, at) == ',' then overrides.refuse_axis(state.whole) end
  if at <= #text then syntax_error(state, at, 'the end') end
  return node
end

---Splits "a.b.3" into { "a", "b", 3 }; nil when it is not a path.
---@param path string
---@return table? keys
function overrides.split_path(path)
  local keys = {}
  for key in (path .. '.'):gmatch('([^.]*)%.') do
    if key:match('^[%a_][%w_]*$') then
      keys[#keys + 1] = key
    elseif key:match('^[1-9]%d*$') then
      keys[#keys + 1] = tonumber(key)
    else
      return nil
    end
  end
  return type(keys[1]) == 'string' and keys or nil
end

---Whether a command line word is meant as an override (it may still be a wrong one).
---@param text string
---@return boolean
function overrides.looks_like(text)
  return text:match('^%+?%+?[%a_][%w_.]*=') ~= nil or text:sub(1, 1) == '~' or text:match('^zip%(') ~= nil
end

---Parses one override.
---@param text string
---@return { op: string, path: string, keys: table, node: table?, text: string }
function overrides.parse(text)
  if text:match('^zip%(') then overrides.refuse_axis(text) end
  local op, path, value = text:match('^(~)(.+)$')
  if not op then op, path, value = text:match('^(%+?%+?)([^=+]+)=(.*)$') end
  local keys = path and overrides.split_path(path)
  if not keys then
    fail.config("cannot read override '%s': expected path=value, +path=value, ++path=value or ~path", text)
  end
  return { op = op == '' and '=' or op, path = path, keys = keys, text = text,
    node = value and overrides.parse_value(value, text) }
end

return overrides
