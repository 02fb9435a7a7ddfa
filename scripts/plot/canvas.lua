-- A picture made of characters: braille dots, two by four to a character, or in ASCII one mark to a character.
local bit = require 'bit'

local canvas = {}
canvas.__index = canvas

local DOTS = { { 0x01, 0x08 }, { 0x02, 0x10 }, { 0x04, 0x20 }, { 0x40, 0x80 } } -- by row and column
local MARKS = { '*', 'o', '+', 'x', '#' }

---@param columns integer characters
---@param rows integer
---@param unicode boolean braille
---@return table canvas `width` and `height` in dots; the dot (0, 0) is at the lower left
function canvas.new(columns, rows, unicode)
  local across, down = unicode and 2 or 1, unicode and 4 or 1
  return setmetatable({ columns = columns, rows = rows, unicode = unicode, width = columns * across,
    height = rows * down, across = across, down = down, cells = {}, owners = {} }, canvas)
end

---Sets a dot; one outside is left out.
---@param x integer
---@param y integer
---@param series integer which curve it belongs to
function canvas:dot(x, y, series)
  if x < 0 or y < 0 or x >= self.width or y >= self.height then return end
  local from_top = self.height - 1 - y
  local column, row = math.floor(x / self.across), math.floor(from_top / self.down)
  local cell = row * self.columns + column
  if self.unicode then
    self.cells[cell] = bit.bor(self.cells[cell] or 0, DOTS[from_top % 4 + 1][x % 2 + 1])
  else
    self.cells[cell] = MARKS[(series - 1) % #MARKS + 1]
  end
  self.owners[cell] = series
end

---A straight line of dots.
---@param x0 integer
---@param y0 integer
---@param x1 integer
---@param y1 integer
---@param series integer
function canvas:line(x0, y0, x1, y1, series)
  local steps = math.max(math.abs(x1 - x0), math.abs(y1 - y0), 1)
  for i = 0, steps do
    self:dot(math.floor(x0 + (x1 - x0) * i / steps + 0.5), math.floor(y0 + (y1 - y0) * i / steps + 0.5), series)
  end
end

local function braille(pattern)
  local code = 0x2800 + pattern -- three bytes of UTF-8
  return string.char(0xE0 + bit.rshift(code, 12), 0x80 + bit.band(bit.rshift(code, 6), 0x3F),
    0x80 + bit.band(code, 0x3F))
end

---What a curve is drawn with in ASCII.
---@param series integer
---@return string
function canvas.mark(series) return MARKS[(series - 1) % #MARKS + 1] end

---The rows as text, from the top. Trailing blanks are left out.
---@param paint fun(text: string, series: integer): string puts a character in the colour of its curve
---@return string[]
function canvas:text(paint)
  local lines = {}
  for row = 0, self.rows - 1 do
    local parts, last = {}, 0
    for column = 0, self.columns - 1 do
      local cell = self.cells[row * self.columns + column]
      local character = cell and (self.unicode and braille(cell) or cell) or ' '
      parts[column + 1] = cell and paint(character, self.owners[row * self.columns + column]) or character
      if cell then last = column + 1 end
    end
    lines[row + 1] = table.concat(parts, '', 1, last)
  end
  return lines
end

return canvas
