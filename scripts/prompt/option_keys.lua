-- Which options the table takes that is open at the end of an input: `train.fit { options = { ep` is inside the table
-- `options` of a call of train.fit.
local api_docs = require 'reference.docs'
local signature = require 'reference.signature'
local specs = require 'config.specs'

local option_keys = {}

-- Fields of calls that hold a section of a config under another name.
local SECTION_OF = { options = 'train' }

-- The brackets that are open at the end of a text, each with what stands before it. Strings and comments are skipped.
local function open_brackets(text)
  local open, i = {}, 1
  while i <= #text do
    local c = text:sub(i, i)
    if text:find('^%-%-', i) then
      i = (text:find('\n', i, true) or #text) + 1
    elseif c == '"' or c == "'" then
      local stop = i + 1
      while stop <= #text and text:sub(stop, stop) ~= c do
        stop = stop + (text:sub(stop, stop) == '\\' and 2 or 1)
      end
      i = stop + 1
    else
      if c == '(' or c == '{' or c == '[' then
        open[#open + 1] = { bracket = c, before = text:sub(1, i - 1) }
      elseif c == ')' or c == '}' or c == ']' then
        open[#open] = nil
      end
      i = i + 1
    end
  end
  return open
end

-- The call and the fields inside it that lead to the innermost open table: "train.fit", { "options" }.
local function find_call(text)
  local open, fields = open_brackets(text), {}
  for i = #open, 1, -1 do
    local before = open[i].before
    if open[i].bracket == '{' then
      local field = before:match '([%a_][%w_]*)%s*=%s*$'
      local name = before:match '([%a_][%w_.:]*)%s*%(?%s*$'
      if field then
        table.insert(fields, 1, field)
      elseif name then
        return name, fields
      elseif not before:find '%(%s*$' then
        return nil
      end
    elseif open[i].bracket == '(' then
      local name = before:match '([%a_][%w_.:]*)%s*$'
      return name, fields
    else
      return nil
    end
  end
  return nil
end

local function names_in_braces(text, into)
  local inside = text:match '{(.*)}'
  local depth = 0
  for piece in (inside or ''):gmatch '[^,]+' do
    local name = depth == 0 and piece:match '^%s*([%a_][%w_]*)%s*[:=]'
    if name then into[name] = true end
    depth = depth + select(2, piece:gsub('[{(]', '')) - select(2, piece:gsub('[})]', ''))
  end
end

-- Options by the documentation: of tables that a library function takes, or by name in a native signature.
local function keys_of_row(row, into)
  for _, param in ipairs(row.lua and row.lua.params or {}) do names_in_braces(param, into) end
  names_in_braces(row.doc:match '^.*Options: `({.*})`' or '', into)
  if row.lua then return end
  for i, argument in ipairs(signature.parse(row.signature) or {}) do
    if not (i == 1 and argument.name == 'self') and argument.name ~= '...' then into[argument.name] = true end
  end
end

local function section_keys(name, into)
  for key in pairs(specs[SECTION_OF[name] or name] or {}) do into[key] = true end
end

---Names of the options that may stand at the end of a text; nil where no table of options is open.
---@param text string
---@return table<string, boolean>?
function option_keys.at(text)
  local call, fields = find_call(text)
  if not call then return nil end
  local names, last = {}, fields[#fields]
  if call == 'experiment.config' and not last then
    for _, sections in ipairs { specs.training, specs.when_present } do
      for _, section in ipairs(sections) do names[section] = true end
    end
    names.model = true
  elseif last then
    section_keys(last, names)
  else
    local rows = api_docs.find(call)
    if #rows == 0 then rows = api_docs.methods(call) end
    if #rows == 0 then rows = api_docs.operator(call) end
    for _, row in ipairs(rows) do keys_of_row(row, names) end
    if call == 'data.text' then section_keys('data', names) end
  end
  return next(names) and names or nil
end

return option_keys
