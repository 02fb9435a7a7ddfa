-- The prompt. On a terminal it edits lines, keeps a history and shows values; fed from a pipe it is a filter that runs
-- chunk after chunk, prints values without a prompt and ends with 1 if any failed.
local api_docs = require 'reference.docs'
local sources = require 'boot.sources'
local completion = require 'cli.completion'
local console = require 'console'
local files = require 'files'
local host = require 'host'
local pretty = require 'pretty'
local traceback = require 'boot.traceback'

local prompt = {}

local LAZY = { 'torch', 'nn', 'optim', 'tscore', 'data', 'models', 'train', 'experiment' }

local function is_incomplete(message)
  return message:find("near '<eof>'$") ~= nil
end

---Compiles a chunk, as an expression if it is one.
---@param text string
---@param first_line integer line of the input where it begins
---@return function? chunk, string? message, boolean? incomplete
function prompt.compile(text, first_line)
  local padding = ('\n'):rep(first_line - 1)
  local body = text:gsub('^%s*=', '')
  local chunk, expression_message = sources.compile(padding .. 'return ' .. body, '=stdin', 'stdin')
  if chunk then return chunk end
  local statement, message = sources.compile(padding .. text, '=stdin', 'stdin')
  if statement then return statement end
  return nil, message, is_incomplete(message) or is_incomplete(expression_message)
end

local function keep(value)
  _G._LAST = value
  _G._RESULTS = _G._RESULTS or {}
  table.insert(_G._RESULTS, value)
end

-- Runs a compiled chunk; true when it worked. Out of the JIT compiler, so that Ctrl-C reaches its loops.
local function run_chunk(chunk, text, first_line)
  jit.off(chunk, true)
  host.watch_interrupt('raise')
  local function pack(...) return select('#', ...), { ... } end
  local count, results = pack(traceback.call(chunk))
  host.watch_interrupt('flag')
  if not results[1] then
    local problem = results[2]
    if not problem.message:find('stdin:', 1, true) then
      problem.message = ('stdin:%d: %s'):format(first_line, problem.message)
    end
    traceback.report(problem)
    return false
  end
  if count > 1 then keep(results[2]) end
  for i = 2, text:match(';%s*$') and 1 or count do console.write(pretty.show(results[i]) .. '\n') end
  io.stdout:flush()
  return true
end

local function explain(name)
  local rows = api_docs.find(name)
  if #rows == 0 then rows = api_docs.methods(name) end
  if #rows == 0 then rows = api_docs.operator(name) end
  console.write(#rows > 0 and api_docs.text(rows) or ("no documentation for '%s'; search with ?? %s\n"):format(name,
    name:match '[%w_]*$'))
end

local SHOWN_OPERATORS = 40

local function search(word)
  local rows, operators = api_docs.search(word)
  local text = #rows > 0 and api_docs.text(rows) or ''
  if #operators > 0 then
    text = ('%soperators of torch: %s%s\n'):format(text,
      table.concat(operators, ' ', 1, math.min(#operators, SHOWN_OPERATORS)),
      #operators > SHOWN_OPERATORS and (' and %d more'):format(#operators - SHOWN_OPERATORS) or '')
  end
  console.write(text ~= '' and text or ("nothing mentions '%s'\n"):format(word))
end

-- Lines that are not Lua: `? name`, `?? word`, `$ command`. True when the line was one.
local function run_special(line)
  local word = line:match('^%s*%?%?%s*(%S+)%s*$')
  if word then
    search(word)
    return true
  end
  local name = line:match('^%s*%?%s*([%w_.:]+)%s*$')
  if name then
    explain(name)
    return true
  end
  local command = line:match('^%s*%$%s*(.+)$')
  if command then os.execute(command) end
  return command ~= nil
end

local function history_path()
  local path = host.getenv('RUNNER_HISTORY') or host.getenv('TREPL_HISTORY')
  if path then return path end
  local home = host.getenv('HOME')
  local state = host.getenv('XDG_STATE_HOME') or (home and home .. '/.local/state')
  if not state then return nil end
  files.make_folder(state .. '/lanthorn') -- without it there is no history, and the prompt works all the same
  return state .. '/lanthorn/history'
end

-- Reads lines until they make a chunk. nil at the end of the input; '' after Ctrl-C.
local function read_chunk()
  local text, mark = nil, '> '
  while true do
    local line, reason = host.readline(mark)
    if not line then
      console.write('\n')
      return reason and '' or nil
    end
    -- An empty line gives up: the message says what is missing. One in a pasted block belongs to it.
    if text and line:match('^%s*$') and not host.more_typed() then return text end
    text = text and text .. '\n' .. line or line
    if run_special(text) then
      host.add_history(text)
      return ''
    end
    local _, _, incomplete = prompt.compile(text, 1)
    if not incomplete then return text end
    mark = '>> '
  end
end

local function interactive()
  local history = history_path()
  if history then host.history_load(history) end
  host.set_completer(completion.complete)
  completion.add_globals(LAZY)
  console.write(('lanthorn %s; values print themselves, ; silences, ? name explains, Ctrl-D leaves\n')
    :format(host.version()))
  host.watch_interrupt('flag')
  while true do
    local text = read_chunk()
    if not text then break end
    if text:match('%S') then
      host.add_history(text)
      local chunk, message = prompt.compile(text, 1)
      if chunk then run_chunk(chunk, text, 1) else console.warn('error: ' .. message) end
    end
  end
  host.watch_interrupt('default')
  if history then host.history_save(history) end
  return 0
end

local function filter()
  local code, number, first, text = 0, 0, 1, nil
  for line in io.lines() do
    number = number + 1
    if not text then first = number end
    text = text and text .. '\n' .. line or line
    local special = first == number and run_special(line)
    local chunk, message, incomplete = prompt.compile(special and '' or text, first)
    if not incomplete then
      if special then
        io.stdout:flush()
      elseif chunk and text:match('%S') then
        if not run_chunk(chunk, text, first) then code = 1 end
      elseif not chunk then
        console.warn('error: ' .. message)
        code = 1
      end
      text = nil
    end
  end
  if text then
    local _, message = prompt.compile(text, first)
    console.warn('error: ' .. message)
    code = 1
  end
  host.watch_interrupt('default')
  return code
end

-- Library modules become globals at their first use.
local function install_lazy_globals()
  local lazy = {}
  for _, name in ipairs(LAZY) do lazy[name] = true end
  local previous = getmetatable(_G)
  local inherited = previous and previous.__index
  setmetatable(_G, { __newindex = previous and previous.__newindex, __index = function(globals, name)
    if lazy[name] then
      lazy[name] = nil -- asked once: a module that cannot be loaded says so once
      local value = require(name)
      rawset(globals, name, value)
      return value
    end
    return inherited and inherited(globals, name)
  end })
end

---Runs the prompt until the end of its input. Returns the exit code.
---@return integer
function prompt.run()
  install_lazy_globals()
  local startup = host.getenv('RUNNER_STARTUP')
  if startup then
    local ok, problem = traceback.call(dofile, startup)
    if not ok then traceback.report(problem) end
  end
  if host.isatty(0) then return interactive() end
  return filter()
end

return prompt
