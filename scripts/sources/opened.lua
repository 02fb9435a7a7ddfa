-- The data files that this script has opened. A file that changes between two trainings of one script is told: what is
-- compared in the script's own table would not have had the same data.
local console = require 'console'

local opened = {}

local known = {}

---@param path string
---@param sha256 string
function opened.add(path, sha256)
  local before = known[path]
  known[path] = sha256
  if before and before ~= sha256 then
    console.warn(("warning: '%s' has changed since this script opened it: trainings before and after do not have the "
      .. 'same data'):format(path))
  end
end

---The same for a text, with what its reader has to say: what became of the file that keeps a long text's tokens, and
---what was found in a text that is taken all the same.
---@param path string
---@param text { name: string, sha256: string, note: string, text_note: string }
function opened.add_text(path, text)
  opened.add(path, text.sha256)
  if text.note ~= '' then console.note(('%-10s%s'):format('tokens', text.note)) end
  if text.text_note ~= '' then console.note(("%-10s'%s': %s"):format('text', text.name, text.text_note)) end
end

return opened
