-- The run of a training that leaves no directory (train.fit{ run = false }), for probes, tests and inner loops: what
-- would be written goes nowhere, and whoever asks for its folder is told why there is none.
local fail = require 'fail'

local unrecorded = {}

local function nothing() end

local methods = {
  id = function() return 'unrecorded' end,
  attempt = function() return 1 end,
  path = function() fail.config('this training has no run directory: train.fit{ run = false }') end,
}

---A run that keeps nothing.
---@return table
function unrecorded.new()
  return setmetatable({ unrecorded = true }, { __index = function(_, name) return methods[name] or nothing end })
end

return unrecorded
