-- Inputs that are not Lua: `? name`, `?? words`, `$ command`, `%word ...`, and `exit`.
local api_docs = require 'reference.docs'
local console = require 'console'
local fail = require 'fail'
local nearest = require 'nearest'
local problems = require 'prompt.problems'
local room = require 'base.room'
local traceback = require 'boot.traceback'

local words = {}

local MAGIC = 'prompt/magic'

local function explain(name)
  local rows = api_docs.find(name)
  if #rows == 0 then rows = api_docs.methods(name) end
  if #rows == 0 then rows = api_docs.operator(name) end
  console.write(#rows > 0 and api_docs.text(rows) or ("no documentation for '%s'; search with ?? %s\n"):format(name,
    name:match '[%w_]*$'))
end

local SHOWN_OPERATORS = 40

local function search(sought)
  local rows, operators = api_docs.search(sought)
  local text = #rows > 0 and api_docs.text(rows) or ''
  if #operators > 0 then
    text = ('%soperators of torch: %s%s\n'):format(text,
      table.concat(operators, ' ', 1, math.min(#operators, SHOWN_OPERATORS)),
      #operators > SHOWN_OPERATORS and (' and %d more'):format(#operators - SHOWN_OPERATORS) or '')
  end
  console.write(text ~= '' and text or ("nothing mentions '%s'\n"):format(sought))
end

-- What a newcomer needs, on one screen.
local function help()
  local lines = { 'A line is Lua; values print themselves, a final ; silences', '' }
  local function row(left, right) lines[#lines + 1] = ('  %-18s %s'):format(left, right) end
  row('? torch.gru', 'signature, documentation, example')
  row('?? dropout', 'search the documentation')
  row('Tab', 'completes names, fields, options, files')
  row('Ctrl-R', 'searches the history')
  row('Ctrl-C', 'stops what runs')
  row('$ ls', 'runs a shell command')
  row('who()', 'your variables')
  for _, name in ipairs(room.names(MAGIC)) do
    local magic = require('prompt.magic.' .. name)
    row(('%%%s %s'):format(name, magic.takes or ''), magic.summary)
  end
  row('exit', 'leaves')
  console.write(table.concat(lines, '\n') .. '\n')
end

local function run_magic(prompt, name, rest)
  if not room.has(MAGIC, name) then
    fail.usage("there is no %%%s%s", name, nearest.hint(name, room.names(MAGIC)))
  end
  return require('prompt.magic.' .. name).run(prompt, rest)
end

-- Kinds of such lines: a pattern, and what it does with what it caught.
local KINDS = {
  { '^%s*%?%?%s*(%S.-)%s*$', function(_, sought) search(sought) end },
  { '^%s*%?%s*([%w_.:]+)%s*$', function(_, name) explain(name) end },
  { '^%s*%?+%s*$', function() help() end },
  { '^%s*help%s*%(?%)?%s*$', function() help() end },
  { '^%s*%$%s*(.+)$', function(_, command) os.execute(command) end },
  { '^%s*%%(%a+)%s*(.-)%s*$', run_magic },
  { '^%s*%%%s*$', function() help() end },
}

---Whether an input is such a line.
---@param text string
---@return boolean
function words.is(text)
  for _, kind in ipairs(KINDS) do
    if text:match(kind[1]) then return not (text:find '^%s*help' and rawget(_G, 'help')) end
  end
  return false
end

---Whether an input asks to leave: exit or quit, unless a variable is called so.
---@param text string
---@return boolean
function words.leaves(text)
  local word = text:match '^%s*(%a+)%s*%(?%s*%)?%s*;?%s*$'
  return (word == 'exit' or word == 'quit') and rawget(_G, word) == nil
end

---Acts on such a line. Names of magics are the files of prompt/magic.
---@param prompt table
---@param text string
---@return boolean worked
---@return any? problem of traceback.call
function words.run(prompt, text)
  for _, kind in ipairs(KINDS) do
    local first, second = text:match(kind[1])
    if first then
      local ok, result, problem = traceback.call(kind[2], prompt, first, second)
      io.stdout:flush()
      if ok then return result ~= false, problem end
      problems.report(prompt.session, result, require('prompt.evaluate').paint)
      return false, result
    end
  end
  return false
end

return words
