-- The data files that this script has opened. A file that changes between two trainings of one script is told: what is compared in the
-- script's own table would not have had the same data.
local console = require 'console'

local opened = {}

local known = {}

---@param path string
---@param sha256 string
function opened.add(path, sha256)
  local before = known[path]
  known[path] = sha256
  if before and before ~= sha256 then
    console.warn(("warning: '%s' has changed since this script opened it: trainings before and after do not have the same data")
      :format(path))
  end
end

return opened
