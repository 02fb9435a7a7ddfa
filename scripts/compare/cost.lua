-- What the runs of each arm took: means over its runs of CPU time, wall time and targets.
local cost = {}

local KEYS = { 'cpu_s', 'wall_s', 'targets' }

---@param arm table of compare.arms
---@return { cpu_s: number?, wall_s: number?, targets: number? } mean of a run; what one of them lacks is left out
function cost.of_arm(arm)
  local sums, lacks = {}, {}
  for _, record in ipairs(arm.used) do
    local own = record:cost()
    for _, key in ipairs(KEYS) do
      if own[key] then sums[key] = (sums[key] or 0) + own[key] else lacks[key] = true end
    end
  end
  local means = {}
  for _, key in ipairs(KEYS) do means[key] = not lacks[key] and sums[key] and sums[key] / #arm.used or nil end
  return means
end

return cost
