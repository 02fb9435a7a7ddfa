-- For commands that only look at a sweep: joins its study where one is shared. Without an answer what is here is shown,
-- and said to be no more.
local console = require 'console'
local fail = require 'fail'
local plan = require 'sweep.plan'
local shared = require 'sweep.study.shared'

---@param folder string of the sweep
---@return table? study
return function(folder)
  if not shared.is_shared(folder) then return nil end
  local ok, study = pcall(shared.join, folder, plan.read(folder).head.fingerprint)
  local message
  if ok and study then
    ok, message = study:pull()
  elseif not ok then
    message = study
  end
  if ok then return study end
  if not fail.is(message) and type(message) ~= 'string' then error(message, 0) end
  console.warn(('only what this machine knows is shown: %s'):format(tostring(message)))
  return nil
end
