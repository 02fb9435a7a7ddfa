-- ATen's schema grammar, in which LibTorch's operators and the engine's functions declare what they take and give:
--   sum.dim(Tensor self, int[1] dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor
local signature = {}

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

---Arguments and results of a signature; nil when it is not in the grammar. Types are as the schema has them.
---@param text string such as "sum.dim(Tensor self, int[1] dim, bool keepdim=False) -> Tensor"
---@return { type: string, name: string, default: string?,
---keyword: boolean }[]? arguments keyword: given by name, in a last table
---@return string[]? results "..." is any number of them
function signature.parse(text)
  local head, results = text:match('^(.-)%s*%->%s*(.*)$')
  head, results = head or text, results or '()'
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
      arguments[#arguments + 1] = { type = 'Any', name = '...', keyword = false }
    elseif part:match('^[%a_][%w_]*$') then
      arguments[#arguments + 1] = { type = 'Any', name = part, keyword = false }
    elseif kind then
      arguments[#arguments + 1] = { type = kind, name = name, default = default, keyword = keyword }
    else
      return nil
    end
  end
  local types = {}
  for _, part in ipairs(split(results:match('^%((.*)%)$') or results)) do
    part = part:gsub('^%s+', ''):gsub('%s+[%a_][%w_]*$', '')
    types[#types + 1] = part
  end
  return arguments, types
end

return signature
