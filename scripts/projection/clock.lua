-- The date and time of day at which something ends, as an interval: "Tue 1 Dec, 03:12 to 03:40".
local clock = {}

local SOON = 600 -- seconds from now within which the seconds of the clock are told

local function day(time, now)
  local year = os.date('%Y', time) ~= os.date('%Y', now) and ' ' .. os.date('%Y', time) or ''
  return (os.date('%a ', time) .. tostring(os.date('*t', time).day) .. os.date(' %b', time)) .. year
end

---@param low number seconds since 1970
---@param high number
---@param now number
---@return string
function clock.range(low, high, now)
  local form = high - now < SOON and '%H:%M:%S' or '%H:%M'
  local low_day, high_day = day(low, now), day(high, now)
  local text = ('%s, %s to '):format(low_day, os.date(form, low))
  return text .. (low_day ~= high_day and high_day .. ', ' or '') .. os.date(form, high)
end

return clock
