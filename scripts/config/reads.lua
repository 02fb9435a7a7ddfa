-- Which config keys does a program read? (guard G20.) The source is looked at, because the answer is wanted before
-- the first update, when a script has not yet come to what it reads after its training; counting reads would tell
-- only at the end of the run. It would also need proxies in place of plain tables, which `pairs` of LuaJIT and native
-- code cannot walk. A key counts as read when
--   * its name follows a dot or stands in text somewhere outside the defaults: cfg.model.hidden, m.hidden,
--     cfg['hidden'];
--   * or the section that holds it is passed on whole (`.model` not followed by a further key): who takes it then
--     checks the names itself (options.lua, native option specs).
-- The rule may call an unread key read; it never calls a read key unread.
local reads = {}

-- Tokens enough for the question: names, text literals and punctuation; comments are dropped.
local function tokens_of(source)
  local tokens, at = {}, 1
  while true do
    at = source:find('%S', at)
    if not at then return tokens end
    local level = source:match('^%-%-%[(=*)%[', at)
    local after
    if level then
      after = select(2, source:find(']' .. level .. ']', at, true)) or #source
    elseif source:find('^%-%-', at) then
      after = (source:find('\n', at, true) or #source)
    elseif source:find('^%[=*%[', at) then
      level = source:match('^%[(=*)%[', at)
      after = select(2, source:find(']' .. level .. ']', at, true)) or #source
      tokens[#tokens + 1] = { kind = 'text', source:sub(at + #level + 2, after - #level - 2) }
    elseif source:find('^["\']', at) then
      local quote, stop = source:sub(at, at), at + 1
      while stop <= #source and source:sub(stop, stop) ~= quote do
        stop = stop + (source:sub(stop, stop) == '\\' and 2 or 1)
      end
      after = stop
      tokens[#tokens + 1] = { kind = 'text', source:sub(at + 1, stop - 1) }
    else
      local word = source:match('^[%a_][%w_]*', at) or source:match('^%.%.%.?', at) or source:sub(at, at)
      after = at + #word - 1
      tokens[#tokens + 1] = { kind = word:find('^[%a_]') and 'name' or 'mark', word }
    end
    at = after + 1
  end
end

local CLOSE = { ['('] = ')', ['{'] = '}' }

-- Index after the bracket that closes the one at `open`.
local function skip_bracket(tokens, open)
  local first, depth = tokens[open][1], 0
  for i = open, #tokens do
    local word = tokens[i].kind == 'mark' and tokens[i][1]
    if word == first then depth = depth + 1 end
    if word == CLOSE[first] then
      depth = depth - 1
      if depth == 0 then return i + 1 end
    end
  end
  return #tokens + 1
end

-- Whether `experiment.config(` or `experiment.config {` begins at i.
local function is_config_call(tokens, i)
  local function word(at) return tokens[at] and tokens[at][1] end
  return word(i) == 'experiment' and word(i + 1) == '.' and word(i + 2) == 'config' and CLOSE[word(i + 3)] ~= nil
end

-- The tokens without `name = experiment.config{...}`; the names of the variables go into `roots`.
local function without_defaults(tokens, roots)
  local kept, i = {}, 1
  while i <= #tokens do
    if is_config_call(tokens, i) and tokens[i - 1] and tokens[i - 1][1] == '=' and tokens[i - 2].kind == 'name' then
      roots[tokens[i - 2][1]] = true
      kept[#kept - 1] = { kind = 'mark', ';' } -- naming the variable does not use it
      i = skip_bracket(tokens, i + 3)
    else
      kept[#kept + 1] = tokens[i]
      i = i + 1
    end
  end
  return kept
end

-- Whether the name at i is followed by a literal key, so that only that key is read there.
local function reads_one_key(tokens, i)
  local mark, key = tokens[i + 1], tokens[i + 2]
  if not mark or mark.kind ~= 'mark' or not key then return false end
  if mark[1] == '.' then return key.kind == 'name' end
  return mark[1] == '[' and key.kind == 'text' and tokens[i + 3] and tokens[i + 3][1] == ']'
end

---What the sources mention.
---@param sources { text: string }[]
---@return { names: table<string, boolean>, passed: table<string, boolean>, root_passed: boolean }
function reads.scan(sources)
  local found, any_root = { names = {}, passed = {}, root_passed = false }, false
  for _, source in ipairs(sources) do
    local roots = {}
    local tokens = without_defaults(tokens_of(source.text), roots)
    any_root = any_root or next(roots) ~= nil
    for i, token in ipairs(tokens) do
      local before = tokens[i - 1]
      local is_key = token.kind == 'text' or (token.kind == 'name' and before and before[1] == '.')
      if is_key then
        found.names[token[1]] = true
        local last = token.kind == 'text' and before and before[1] == '[' and i + 1 or i
        if not reads_one_key(tokens, last) then found.passed[token[1]] = true end
      end
      if token.kind == 'name' and roots[token[1]] and not reads_one_key(tokens, i) then found.root_passed = true end
    end
  end
  -- A config that is not held by a plain variable may be used in any way.
  found.root_passed = found.root_passed or not any_root
  return found
end

---Whether a leaf path is read according to a scan.
---@param found table
---@param path string
---@return boolean
function reads.is_read(found, path)
  if found.root_passed then return true end
  local keys = {}
  for key in path:gmatch('[^.]+') do keys[#keys + 1] = key end
  for i, key in ipairs(keys) do
    if not found.names[key] then return false end
    if i < #keys and found.passed[key] then return true end
  end
  return true
end

return reads
