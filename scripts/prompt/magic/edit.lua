-- %edit: opens an editor on the last input, or a file, and runs what was written.
local console = require 'console'
local evaluate = require 'prompt.evaluate'
local fail = require 'fail'
local files = require 'files'
local host = require 'host'
local shell = require 'base.shell'

local magic = { takes = '[file.lua]', summary = 'write in an editor, then run it' }

function magic.run(prompt, text)
  local editor = host.getenv 'VISUAL' or host.getenv 'EDITOR' or 'vi'
  local path, accepted = text, prompt.session.accepted
  if path == '' then
    path = os.tmpname() .. '.lua'
    files.write(path, (accepted[#accepted] or '') .. '\n')
  end
  local code = os.execute(('%s %s'):format(editor, shell.quote(path)))
  if code ~= 0 then
    fail.raise(1, "%%edit: the editor '%s' ended with %s; set EDITOR to another", editor, tostring(code))
  end
  local written = files.read(path)
  if text == '' then os.remove(path) end
  if not written or not written:find '%S' then
    console.write 'nothing to run\n'
    return true
  end
  local worked, problem = evaluate.run(prompt, written)
  if worked then prompt.session:accept((written:gsub('%s+$', ''))) end
  return worked, problem
end

return magic
