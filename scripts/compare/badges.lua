-- The guards of compared runs, as marks that cannot be hidden: "G05 init_loss: warn in 2 of 6 runs".
local guards = require 'guards.registry'
local pretty = require 'pretty'

local badges = {}

local function name_of(guard)
  for _, row in ipairs(guards.rows) do
    if row.id == guard.id then return ('%s %s'):format(row.id, row.name) end
  end
  return tostring(guard.id)
end

---@param records table[] of compare.record
---@return string[] marks
function badges.marks(records)
  local counts, marks = {}, {}
  for _, record in ipairs(records) do
    local seen = {}
    for _, guard in ipairs(record:guards()) do
      local badge = ('%s: %s'):format(name_of(guard), guard.level or 'fired')
      counts[badge] = (counts[badge] or 0) + (seen[badge] and 0 or 1)
      seen[badge] = true
    end
  end
  for _, badge in ipairs(pretty.sorted_keys(counts)) do
    marks[#marks + 1] = ('guard %s in %d of %d runs'):format(badge, counts[badge], #records)
  end
  return marks
end

return badges
