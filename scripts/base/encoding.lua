-- Text that any terminal and any file can take (guard G41): bytes that are not UTF-8, or not ASCII where the locale is
-- not UTF-8, and control characters are shown as \xNN.
local host = require 'host'

local encoding = {}

local PLAIN = '[^\n\t\r\27 -~]' -- ESC begins the colours that the runner writes itself

-- The end of a valid UTF-8 sequence that begins at `at`; nil when there is none. Overlong forms, surrogates and what
-- lies above U+10FFFF are not valid.
local function sequence_end(text, at)
  local a, b = text:byte(at, at + 1)
  local size = a >= 0xC2 and a <= 0xDF and 2 or a >= 0xE0 and a <= 0xEF and 3 or a >= 0xF0 and a <= 0xF4 and 4
  if not size or not b then return nil end
  if a == 0xE0 and b < 0xA0 or a == 0xED and b > 0x9F or a == 0xF0 and b < 0x90 or a == 0xF4 and b > 0x8F then
    return nil
  end
  for i = at + 1, at + size - 1 do
    local byte = text:byte(i)
    if not byte or byte < 0x80 or byte > 0xBF then return nil end
  end
  return at + size - 1
end

---The text with every odd byte as \xNN.
---@param text string
---@param unicode boolean whether UTF-8 may stay
---@return string
function encoding.escape(text, unicode)
  local at = text:find(PLAIN)
  if not at then return text end
  local parts, from = {}, 1
  while at do
    local stop = unicode and text:byte(at) >= 0x80 and sequence_end(text, at)
    if stop then
      at = text:find(PLAIN, stop + 1)
    else
      parts[#parts + 1] = text:sub(from, at - 1)
      parts[#parts + 1] = ('\\x%02X'):format(text:byte(at))
      from = at + 1
      at = text:find(PLAIN, from)
    end
  end
  parts[#parts + 1] = text:sub(from)
  return table.concat(parts)
end

---Whether the locale is UTF-8.
---@return boolean
function encoding.is_unicode()
  local locale = ''
  for _, name in ipairs { 'LANG', 'LC_CTYPE', 'LC_ALL' } do
    locale = host.getenv(name) or locale
  end
  return locale:lower():find('utf%-?8') ~= nil
end

return encoding
