-- The verses of the King James Bible, from the data file of Debian's package bible-kjv-text.
--
-- Layout of bible.data, integers big-endian and of 32 bits:
--   0x00  "EC02Compressed Data File", zeros
--   0x54  bytes of a window before compression (the last window may have fewer), how many windows there are
--   0x5c  where each window begins in the file, and where the last one ends
-- Each window is compressed for itself as by compress(1) (LZW, codes of 9 to 16 bits, 256 starts anew) without its
-- magic number. The text is a title line and then one verse a line, behind its reference: "Ge1:1 In the beginning
-- ...".
local bit = require 'bit'
local read_file = require 'base.read_file'

local bible_text = { magic = 'EC02Compressed Data File' }

local COUNT_AT, OFFSETS_AT = 0x58, 0x5c
local FIRST_BITS, LAST_BITS, CLEAR = 9, 16, 256

local function number_at(bytes, position)
  local a, b, c, d = bytes:byte(position + 1, position + 4)
  if not d then error('it is cut short', 0) end
  return ((a * 256 + b) * 256 + c) * 256 + d
end

-- A function that returns the next code of `bits` bits, nil at the end. Codes of one width come in groups of eight,
-- and what is left of a group is passed over when the width changes.
local function code_reader(bytes)
  local total, position, group = #bytes * 8, 0, 0
  local width = FIRST_BITS
  local function next_code()
    if position + width > total then return nil end
    local at, shift = math.floor(position / 8), position % 8
    local a, b, c = bytes:byte(at + 1, at + 3)
    position = position + width
    return bit.band(bit.rshift(a + (b or 0) * 256 + (c or 0) * 65536, shift), bit.lshift(1, width) - 1)
  end
  local function set_width(bits)
    local size = width * 8
    position = group + math.ceil((position - group) / size) * size
    group, width = position, bits
  end
  return next_code, set_width
end

-- The text of one window.
local function decompress(bytes)
  local next_code, set_width = code_reader(bytes)
  local words, size, bits, previous
  local function restart()
    words, size, bits, previous = {}, CLEAR + 1, FIRST_BITS, nil
    for i = 0, 255 do words[i] = string.char(i) end
  end
  restart()
  local out = {}
  for code in next_code do
    if code == CLEAR then
      restart()
      set_width(FIRST_BITS)
    else
      local word = words[code] or (code == size and previous and previous .. previous:sub(1, 1))
      if not word then error('its compressed text is damaged', 0) end
      out[#out + 1] = word
      if previous and size < 2 ^ LAST_BITS then
        words[size], size = previous .. word:sub(1, 1), size + 1
        if size == 2 ^ bits and bits < LAST_BITS then
          bits = bits + 1
          set_width(bits)
        end
      end
      previous = word
    end
  end
  return table.concat(out)
end

---The first `bytes` bytes of the verses, one a line, without title and references. Raises a text that says what is
---wrong with the file.
---@param file string the contents of bible.data
---@param bytes integer
---@return string
function bible_text.decode(file, bytes)
  if file:sub(1, #bible_text.magic) ~= bible_text.magic then
    error("it does not begin with '" .. bible_text.magic .. "'", 0)
  end
  local lines, rest, have = {}, '', 0
  for i = 0, number_at(file, COUNT_AT) - 1 do
    local from, to = number_at(file, OFFSETS_AT + 4 * i), number_at(file, OFFSETS_AT + 4 * i + 4)
    if to > #file or from > to then error('it is cut short', 0) end
    local text = rest .. decompress(file:sub(from + 1, to))
    local whole, tail = text:match '^(.*\n)(.-)$'
    rest = whole and tail or text
    for verse in (whole or ''):gmatch '[^\n ]+:%d+ ([^\n]*\n)' do
      lines[#lines + 1], have = verse, have + #verse
    end
    if have >= bytes then break end
  end
  if have < bytes then error(('it holds %d bytes of verses, expected at least %d'):format(have, bytes), 0) end
  return table.concat(lines):sub(1, bytes)
end

---The corpus kjv from an unpacked package.
---@param root string the folder it was unpacked into
---@param bytes integer
---@return string
function bible_text.build(root, bytes)
  local contents = read_file(root .. '/usr/lib/bible.data')
  if not contents then error('it has no /usr/lib/bible.data', 0) end
  local ok, text = pcall(bible_text.decode, contents, bytes)
  if not ok then error('/usr/lib/bible.data: ' .. tostring(text), 0) end
  return text
end

return bible_text
