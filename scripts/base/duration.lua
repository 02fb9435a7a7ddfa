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

---Seconds as "45s", "3m10s" or "2h05m".
---@param s number
---@return string
function duration.short(s)
  if s < 9.95 then return ('%.1fs'):format(s) end
  s = math.floor(s + 0.5)
  if s < 60 then return ('%ds'):format(s) end
  if s < 3600 then return ('%dm%02ds'):format(math.floor(s / 60), s % 60) end
  return ('%dh%02dm'):format(math.floor(s / 3600), math.floor(s % 3600 / 60))
end

return duration
