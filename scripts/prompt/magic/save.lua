-- %save: the inputs of this session that worked, as a script that runs.
local chunk = require 'prompt.chunk'
local console = require 'console'
local fail = require 'fail'
local files = require 'files'
local host = require 'host'
local pretty = require 'pretty'
local prompt_globals = require 'prompt.globals'

local magic = { takes = 'file.lua', summary = 'write what worked as a script' }

-- An expression is no statement: its value is printed in the script.
local function statement(text)
  local head, last = chunk.split(text)
  if head and not loadstring(text) then
    return text:match ';%s*$' and ('%s local _ = %s'):format(head, last) or ('%s print(%s)'):format(head, last)
  end
  local body = text:gsub('^%s*=', '')
  if not loadstring('return ' .. body) then
    -- At the prompt a local ended with its line.
    return #chunk.locals(text) > 0 and ('do %s end'):format(text) or text
  end
  if loadstring(body) then return body end -- a call
  if text:match ';%s*$' then return ('do local _ = %s end'):format((body:gsub('%s*;%s*$', ''))) end
  return ('print(%s)'):format(body)
end

local function has_word(text, name) return text:find('%f[%w_]' .. name .. '%f[^%w_]') ~= nil end

---The script of inputs.
---@param inputs string[]
---@return string
function magic.script(inputs)
  local lines, all = { '-- Written by %save at the prompt.' }, table.concat(inputs, '\n')
  local names = {}
  for _, name in ipairs(prompt_globals.LAZY) do
    if has_word(all, name) then names[#names + 1] = name end
  end
  for _, name in ipairs(names) do lines[#lines + 1] = ("local %s = require '%s'"):format(name, name) end
  if #names > 0 then lines[#lines + 1] = '' end
  for _, text in ipairs(inputs) do lines[#lines + 1] = statement(text) end
  return table.concat(lines, '\n') .. '\n'
end

function magic.run(prompt, path)
  if path == '' then fail.usage('%save: into which file? %save session.lua') end
  if #prompt.session.accepted == 0 then fail.usage('%save: nothing has worked yet, so there is nothing to write') end
  if host.stat(path) then fail.usage("%%save: '%s' exists already; name another file", path) end
  local text = magic.script(prompt.session.accepted)
  local compiled, message = loadstring(text, '=' .. path)
  if not compiled then fail.raise(1, '%%save: the script would not compile: %s', message) end
  files.write(path, text)
  console.write(('%s in %s; runner %s runs it\n'):format(pretty.plural(#prompt.session.accepted, 'input'), path, path))
end

return magic
