-- asha: asynchronous successive halving (Li et al., A System for Massively Parallel Hyperparameter Tuning, 2018). At
-- min, min * eta, min * eta^2 ... epochs a cell goes on if it is among the best 1 / eta of those that came so far; else
-- it is pruned, and goes on from its checkpoint once it is.
local asha = { options = { min = { 'int', 1, min = 1 }, eta = { 'int', 3, min = 2 } } }

-- The rung that an epoch is; nil between two.
local function rung_of(o, epoch)
  local at, rung = o.min, 0
  while at < epoch do at, rung = at * o.eta, rung + 1 end
  return at == epoch and rung or nil
end

-- Whether `own` is among the best 1 / eta, at least `least`, of all that reached its epoch. Of equals the first by id
-- is better.
local function is_among_best(o, own, epoch, all, least)
  local reached, better = 0, 0
  for id, reports in pairs(all) do
    local value = reports[epoch]
    if value then
      reached = reached + 1
      if value < all[own][epoch] or (value == all[own][epoch] and id < own) then better = better + 1 end
    end
  end
  return better < math.max(least or 0, math.floor(reached / o.eta)), better + 1, reached
end

---Whether a cell ends at this epoch, and why. `all` holds the losses of all cells by id and epoch.
---@param o table options
---@param id string
---@param epoch integer
---@param all table<string, table<integer, number>>
---@return string? reason
function asha.prune(o, id, epoch, all)
  if not rung_of(o, epoch) then return nil end
  local goes_on, place, reached = is_among_best(o, id, epoch, all)
  if goes_on then return nil end
  return ('asha: %d of %d at epoch %d, the best %d go on'):format(place, reached, epoch, math.floor(reached / o.eta))
end

---Whether a pruned cell may go on now.
---@param o table options
---@param id string
---@param all table
---@param is_last boolean? no further cell comes: of those that came farthest the best goes on to the end
---@return boolean
function asha.promote(o, id, all, is_last)
  local function last_of(reports)
    local last = 0
    for epoch in pairs(reports or {}) do last = math.max(last, epoch) end
    return last
  end
  local last, farthest = last_of(all[id]), 0
  for _, reports in pairs(is_last and all or {}) do farthest = math.max(farthest, last_of(reports)) end
  return last > 0 and (is_among_best(o, id, last, all, last == farthest and 1 or 0))
end

return asha
