-- For commands that only look at a sweep: joins its study where one is shared. Without an answer what is here is shown,
-- and said to be no more.
local console = require 'console'
local fail = require 'fail'
local plan = require 'sweep.planning.plan'
local shared = require 'sweep.study.shared'

---@param folder string of the sweep
---@return table? study
---@return string? problem of a study that does not answer, or is not to be found
return function(folder)
  if not shared.is_shared(folder) then return nil end
  local joined, study = pcall(shared.join, folder, plan.read(folder).head, { allows_changes = true })
  if not joined and not fail.is(study) then error(study, 0) end
  local ok, message = joined, study
  if joined then ok, message = study:pull() end
  if ok then return study end
  message = tostring(message)
  console.warn(('only what this machine knows is shown: %s'):format(message))
  return nil, message
end
