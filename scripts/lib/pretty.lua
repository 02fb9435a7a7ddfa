-- Values as text: one line for messages, several with a depth limit for the prompt.
local console = require 'console'

local pretty = {}

local COLOURS = { string = '32', number = '36', boolean = '35', ['nil'] = '35', key = '34', ['function'] = '33' }
local DEPTH, ENTRIES, LINE = 4, 100, 100

---A number without noise: 0.002, 3, 1e-05, nan.
---@param x number
---@return string
function pretty.number(x)
  if x ~= x then return 'nan' end
  if x == math.huge or x == -math.huge then return x > 0 and 'inf' or '-inf' end
  local short = ('%.14g'):format(x)
  return tonumber(short) == x and short or ('%.17g'):format(x)
end

---A number as tables show it at the prompt: six digits of a fraction.
---@param x number
---@return string
function pretty.short_number(x)
  if x ~= x or x % 1 == 0 or math.abs(x) == math.huge then return pretty.number(x) end
  return ('%.6g'):format(x)
end

---1234567 as "1,234,567".
---@param n number
---@return string
function pretty.count(n)
  local sign, digits = ('%d'):format(n):match '^(-?)(%d+)$'
  return sign .. digits:reverse():gsub('(%d%d%d)', '%1,'):reverse():gsub('^,', '')
end

---"1 epoch", "2 epochs", "3 batches".
---@param n number
---@param one string the word for one
---@param more? string for others; one with an s
---@return string
function pretty.plural(n, one, more)
  return ('%s %s'):format(pretty.count(n), n == 1 and one or more or one .. 's')
end

local function rank(key)
  return type(key) == 'number' and 1 or type(key) == 'string' and 2 or 3
end

---Keys in a stable order: numbers, then text, then the rest.
---@param t table
---@return table
function pretty.sorted_keys(t)
  local keys = {}
  for key in next, t do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if rank(a) ~= rank(b) then return rank(a) < rank(b) end
    if rank(a) == 3 then return tostring(a) < tostring(b) end
    return a < b
  end)
  return keys
end

local function painter(colour)
  if not colour then return function(text) return text end end
  return function(text, kind)
    return COLOURS[kind] and ('\27[%sm%s\27[0m'):format(COLOURS[kind], text) or text
  end
end

local function own_tostring(value)
  local meta = debug.getmetatable(value)
  return type(value) ~= 'string' and type(meta) == 'table' and rawget(meta, '__tostring') ~= nil
end

local function scalar(value, paint, number_text)
  local kind = type(value)
  if kind == 'string' then return paint(("'%s'"):format(value:gsub('[%c\\\']', function(c)
    return c == '\n' and '\\n' or c == '\t' and '\\t' or c:find("[\\']") and '\\' .. c or ('\\x%02x'):format(c:byte())
  end)), kind) end
  if kind == 'number' then return paint(number_text(value), kind) end
  return paint(tostring(value), kind)
end

-- As Lua's own print has it: 14 digits.
local function lua_number(x)
  return x == x and math.abs(x) ~= math.huge and ('%.14g'):format(x) or pretty.number(x)
end

local render

local function key_text(key, paint)
  if type(key) == 'string' and key:match('^[%a_][%w_]*$') then return paint(key, 'key') end
  return '[' .. scalar(key, paint, pretty.number) .. ']'
end

local function render_entries(t, state, depth)
  local parts, count = {}, #t
  for i = 1, math.min(count, ENTRIES) do parts[#parts + 1] = render(t[i], state, depth + 1) end
  for _, key in ipairs(pretty.sorted_keys(t)) do
    local in_list = type(key) == 'number' and key >= 1 and key <= count and key % 1 == 0
    if not in_list and #parts < ENTRIES then
      parts[#parts + 1] = key_text(key, state.paint) .. ' = ' .. render(t[key], state, depth + 1)
    elseif not in_list then
      count = ENTRIES + 1
    end
  end
  if count > ENTRIES then parts[#parts + 1] = '...' end
  return parts
end

local function visible_length(text)
  return #text:gsub('\27%[%d*m', '')
end

function render(value, state, depth)
  if type(value) ~= 'table' or own_tostring(value) then
    local number_text = not state.lines and pretty.number or depth == 0 and lua_number or pretty.short_number
    return scalar(value, state.paint, number_text)
  end
  if next(value) == nil then return '{}' end
  if state.open[value] then return '<itself>' end
  if depth >= state.depth then return '{...}' end
  state.open[value] = true
  local parts = render_entries(value, state, depth)
  state.open[value] = nil
  local line = '{ ' .. table.concat(parts, ', ') .. ' }'
  if not state.lines or (visible_length(line) + 2 * depth <= LINE and not line:find('\n')) then return line end
  local indent = ('\n' .. ('  '):rep(depth + 1))
  return '{' .. indent .. table.concat(parts, ',' .. indent) .. '\n' .. ('  '):rep(depth) .. '}'
end

---One line, without colours.
---@param value any
---@return string
function pretty.inline(value)
  return render(value, { paint = painter(false), open = {}, depth = DEPTH, lines = false }, 0)
end

---As the prompt shows it: long tables over several lines, colours when stdout is a terminal.
---@param value any
---@param colour? boolean
---@return string
function pretty.show(value, colour)
  if colour == nil then colour = console.has_colour(1) end
  return render(value, { paint = painter(colour), open = {}, depth = DEPTH, lines = true }, 0)
end

return pretty
