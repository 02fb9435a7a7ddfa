-- Durations as people write them: seconds, "90s", "5m", "2h", "1d", "HH:MM:SS".
local duration = {}

local UNITS = { [''] = 1, s = 1, m = 60, h = 3600, d = 86400 }

---Seconds of a duration; nil and a message when it is malformed. It must be longer than 0.
---@param given number|string 90, "90", "90s", "5m", "1.5h", "1d" or "01:30:00"
---@return number? seconds, string? message
function duration.seconds(given)
  local text = tostring(given)
  local h, m, s = text:match('^(%d+):(%d%d):(%d%d)$')
  local seconds
  if h and tonumber(m) < 60 and tonumber(s) < 60 then
    seconds = tonumber(h) * 3600 + tonumber(m) * 60 + tonumber(s)
  elseif not h then
    local number, unit = text:match('^([%d.]+)([smhd]?)$')
    seconds = number and tonumber(number) and tonumber(number) * UNITS[unit]
  end
  if seconds and seconds > 0 then return seconds end
  return nil, ("expected a time such as 90s, 5m, 2h or HH:MM:SS, got '%s'"):format(text)
end

---The text itself if it is a duration.
---@param text string
---@return string? text, string? message
function duration.text(text)
  local seconds, message = duration.seconds(text)
  return seconds and text, message
end

return duration
