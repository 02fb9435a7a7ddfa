-- What is exposed to Lua, as rows { name =, module =, signature =, doc =, example = }: the native module's list and the
-- doc comments of the library. Order and content do not depend on the machine.
local host = require 'host'

local docs = {}

-- Rooms of modules that users require, beside lib/; the other library files are their parts.
local PUBLIC_ROOMS = { models = true, callbacks = true, testing = true }

-- Rooms whose files are the functions of one module.
local MODULE_ROOMS = { data = true }

-- Files with methods of what train.start returns, and of what a client of `runner attach` has.
local FIT_METHODS = { ['live/fit.lua'] = { Fit = true, Steered = true }, ['attach/answers.lua'] = { Attached = true } }

-- Native tables that a library module of the same name stands before; `require 'lanthorn'` has them.
local BEHIND = { data = true, diagnostics = true, run = true, train = true }

local function module_of(path)
  local folder, name = path:match('^([^/]+)/(.+)%.lua$')
  if not folder then return path:match('^([^/]+)%.lua$'), true end
  if folder == 'lib' then return name, true end
  if name == 'init' or MODULE_ROOMS[folder] then return folder, true end
  return folder .. '.' .. name:gsub('/', '.'), PUBLIC_ROOMS[folder]
end

-- Keeps the text of `---@param` and `---@return` lines; a tag goes on in the next line while one of its braces is open.
local function read_tag(comment, into)
  local list = into.open
  if list then
    list[#list] = list[#list] .. ' ' .. comment
  else
    local kind, rest = comment:match('^@(%a+)%s+(.*)$')
    list = kind == 'param' and into.params or kind == 'return' and into.returns or {}
    list[#list + 1] = rest
  end
  local opened, closed = (list[#list] or ''):gsub('{', ''), (list[#list] or ''):gsub('}', '')
  into.open = #opened < #closed and list or nil
end

local function finish_row(block, module, name, arguments)
  local doc = table.concat(block.doc, ' ')
  local returns = #block.returns > 0 and ' -> ' .. table.concat(block.returns, ', ') or ''
  return { name = name, module = module, signature = ('%s(%s)%s'):format(name, arguments, returns), doc = doc,
    lua = { params = block.params, returns = block.returns, arguments = arguments } }
end

---Rows of the doc comments of one source text.
---@param text string
---@param module string
---@return table[]
function docs.of_source(text, module)
  local rows, block = {}, nil
  for line in (text .. '\n'):gmatch('(.-)\n') do
    local comment = line:match('^%-%-%-%s?(.*)$')
    if comment then
      block = block or { doc = {}, params = {}, returns = {} }
      if block.open or comment:sub(1, 1) == '@' then
        read_tag(comment, block)
      else
        block.doc[#block.doc + 1] = comment
      end
    else
      local name, arguments = line:match('^function ([%w_.:]+)%((.-)%)')
      if block and name then
        local full = name:find(':', 1, true) and name or module .. '.' .. name:gsub('^[%w_]+[.]', '')
        arguments = arguments:gsub(', config$', '') -- which lib/data.lua gives a kind of data, not its user
        rows[#rows + 1] = finish_row(block, module, full, arguments)
        rows[#rows].class = name:match '^([%a_]+)[.:]'
      end
      block = nil
    end
  end
  return rows
end

-- Files that return a constructor have no function to document: the head comment says what they are, and the spec in
-- the source which options they take.
local function constructor_row(path, text)
  local folder, name = path:match('^(%l+)/([%w_]+)%.lua$')
  if folder ~= 'models' and folder ~= 'callbacks' then return nil end
  local lines = {}
  for line in text:gmatch('([^\n]*)\n') do
    local comment = line:match('^%-%-%s?(.*)$')
    if not comment then break end
    lines[#lines + 1] = comment
  end
  local spec = text:match('args = (%b{})') or text:match 'local ARGS = (%b{})'
  local doc = table.concat(lines, ' '):gsub('^' .. name .. ': ', '')
  if spec then doc = doc .. ' Options: `' .. spec:gsub('%s+', ' ') .. '`' end
  local result = folder == 'models' and 'Module' or 'table'
  return { name = folder .. '.' .. name, module = folder, doc = doc,
    signature = ('%s.%s(options) -> %s'):format(folder, name, result),
    lua = { params = { 'options table' }, returns = { result }, arguments = 'options' } }
end

-- The methods of those files, as Fit:name.
local function add_fit_methods(rows)
  for path, classes in pairs(FIT_METHODS) do
    for _, row in ipairs(docs.of_source(host.embedded(path), '')) do
      local name = row.name:match '[%w_]+$'
      if classes[row.class] then
        local arguments = row.lua.arguments:gsub('^_,?%s*', '')
        row.lua.arguments = arguments
        row.name, row.module = 'Fit:' .. name, 'Fit'
        row.signature = ('Fit:%s(%s)%s'):format(name, arguments, row.signature:match '%)( %-> .*)$' or '')
        rows[#rows + 1] = row
      end
    end
  end
end

local function library_rows(rows)
  add_fit_methods(rows)
  for _, path in ipairs(host.embedded_list('')) do
    local module, public = module_of(path)
    local vendored = path == 'argparse.lua' or path == 'dkjson.lua'
    if public and not vendored and not path:match('^commands/') then
      local text = host.embedded(path)
      rows[#rows + 1] = constructor_row(path, text)
      for _, row in ipairs(docs.of_source(text, module)) do rows[#rows + 1] = row end
    end
  end
end

local function native_rows(rows)
  for _, row in ipairs(require('lanthorn').api()) do
    local module = BEHIND[row.module] and 'lanthorn.' .. row.module or row.module
    local name = row.name:find(':', 1, true) and row.name or module .. '.' .. row.name
    rows[#rows + 1] = { name = name, module = module, signature = name .. row.signature, doc = row.doc,
      example = row.example ~= '' and row.example or nil }
  end
end

local function before(a, b)
  if a.module ~= b.module then return a.module < b.module end
  if a.name ~= b.name then return a.name < b.name end
  return a.signature < b.signature
end

---All rows, sorted by module, name and signature.
---@param without_native? boolean leaves the native module out, and unloaded
---@return table[]
function docs.rows(without_native)
  local rows = {}
  library_rows(rows)
  if not without_native then native_rows(rows) end
  table.sort(rows, before)
  return rows
end

---Rows whose name is or ends with `.name`.
---@param name string
---@param rows? table[] all of them, if left out
---@return table[]
function docs.find(name, rows)
  local found = {}
  for _, row in ipairs(rows or docs.rows(not pcall(require, 'lanthorn'))) do
    if row.name == name or row.name:match('[^.:]*$') == name then found[#found + 1] = row end
  end
  return found
end

---Rows of the methods that are called so, whatever the value before the colon is: "x:backward".
---@param name string
---@return table[]
function docs.methods(name)
  local found, word = {}, name:match ':([%w_]+)$'
  for _, row in ipairs(word and docs.find(word) or {}) do
    if row.name:find(':', 1, true) then found[#found + 1] = row end
  end
  return found
end

-- An operator's overloads as rows: "torch.gru(Tensor input, ...) -> (Tensor, Tensor)".
local function operator_rows(name)
  local torch, rows = require('lanthorn').torch, {}
  for _, schema in ipairs(torch.schemas(name)) do
    local arguments = schema:match('^[%w_:.]+(%(.*)$')
    rows[#rows + 1] = { name = 'torch.' .. name, module = 'torch', signature = ('torch.%s%s'):format(name, arguments),
      doc = '' }
  end
  if rows[1] then
    local method = rows[1].signature:find '^[^(]*%(Tensor' and ('; also x:%s(...)'):format(name) or ''
    rows[#rows].doc = ('An operator of LibTorch, as PyTorch documents torch.%s%s.'):format(name, method)
  end
  return rows
end

---What is known of a name that no row has: the overloads of the operator of that name. Loads the native module.
---@param name string such as "gru", "torch.gru" or "x:gru"
---@return table[] rows none when there is no such operator, or it is not one of torch's
function docs.operator(name)
  local owner, word = name:match('^(.-)[.:]?([%w_]+)$')
  if not word or owner ~= '' and owner ~= 'torch' and not name:find(':', 1, true) then return {} end
  return pcall(require, 'lanthorn') and operator_rows(word) or {}
end

---Rows as text for people: signature, doc and example of each.
---@param rows table[]
---@return string
function docs.text(rows)
  local lines = {}
  for _, row in ipairs(rows) do
    lines[#lines + 1] = row.signature
    if row.doc ~= '' then lines[#lines + 1] = '  ' .. row.doc end
    if row.example then lines[#lines + 1] = '  example: ' .. row.example end
  end
  return table.concat(lines, '\n') .. '\n'
end

---Rows with all these words in their name or doc, in any case, and operators with them in their name.
---@param text string
---@return table[] rows
---@return string[] operators names, sorted
function docs.search(text)
  local found, operators = {}, {}
  local function mentions(place)
    place = place:lower()
    for word in text:lower():gmatch '%S+' do
      if not place:find(word, 1, true) then return false end
    end
    return true
  end
  local has_native = pcall(require, 'lanthorn')
  for _, row in ipairs(docs.rows(not has_native)) do
    if mentions(row.name .. '\n' .. row.doc) then found[#found + 1] = row end
  end
  for _, name in ipairs(has_native and require('lanthorn').torch.operators() or {}) do
    if name:sub(1, 1) ~= '_' and mentions(name) then operators[#operators + 1] = name end
  end
  return found, operators
end

return docs
