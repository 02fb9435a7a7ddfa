-- One input of the prompt as Lua: an expression if it is one, else statements.
local sources = require 'boot.sources'

local chunk = {}

local function is_incomplete(message)
  return message:find("near '<eof>'$") ~= nil
end

local function compiles(text) return sources.compile(text, '=words', 'words') ~= nil end

---The parts of statements with an expression behind them, "x = 1; x"; nil where there is none.
---@param text string
---@return string? statements, string? expression
function chunk.split(text)
  text = text:gsub('%s*;%s*$', '')
  for i = #text, 1, -1 do
    if text:find('^[;\n]', i) then
      local head, last = text:sub(1, i), text:sub(i + 1)
      if last:find '%S' and compiles('return ' .. last) and compiles(head) then return head, last end
    end
  end
  return nil
end

-- The closing bracket stands in the same line, whose number errors tell, in place of a comment.
local function compile_value(compile, head, expression)
  local source = ('local __pass = ... %s return __pass('):format(head)
  return compile(source .. expression .. ')') or compile(source .. expression:gsub('%s*%-%-[^\n]*$', '') .. ')')
    or compile(source .. expression .. '\n)')
end

---What an expression's chunk is called with: it gives its values, so that they are not made by a tail call, which
---would take the line out of tracebacks.
function chunk.pass(...) return ... end

---Compiles a chunk, as an expression if it is one; it is called with chunk.pass.
---@param text string
---@param first_line integer line of the input where it begins
---@param name? string what errors call the input; stdin
---@param environment? table its globals
---@return function? compiled, string? message, boolean? incomplete
function chunk.compile(text, first_line, name, environment)
  local padding, shown = ('\n'):rep(first_line - 1), name or 'stdin'
  local function compile(source)
    if environment then return sources.compile(padding .. source, '=' .. shown, shown, environment) end
    return sources.compile(padding .. source, '=' .. shown, shown)
  end
  local body = text:gsub('^%s*=', '')
  local is_expression, expression_message = compile('return ' .. body)
  if is_expression then return compile_value(compile, '', (body:gsub('%s*;%s*$', ''))) end
  local statement, message = compile(text)
  if statement then return statement end
  if message:find "'=' expected near '<eof>'$" or message:find "'=' expected near ';'$" then
    local head, last = chunk.split(text)
    if not head then return nil, message, false end
    return compile_value(compile, head, last)
  end
  return nil, message, is_incomplete(message) or is_incomplete(expression_message)
end

---Names that a chunk declares with `local` at its top level.
---@param text string
---@return string[]
function chunk.locals(text)
  local names = {}
  for before, declared in text:gmatch '()local%s+([%a_][%w_, \t]*)' do
    -- Inside of a function or block it would end there anyway.
    local head = text:sub(1, before - 1)
    if (before == 1 or not text:sub(before - 1, before - 1):match '[%w_]') and compiles(head) then
      for name in declared:gmatch '[%a_][%w_]*' do
        if name ~= 'function' then names[#names + 1] = name end
      end
      local of_function = declared:match '^function%s+([%a_][%w_]*)'
      if of_function and names[#names] ~= of_function then names[#names + 1] = of_function end
    end
  end
  return names
end

return chunk
