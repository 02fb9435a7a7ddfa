-- Rows of cells as lines of text: each column as wide as its widest cell, or a table of Markdown.
local columns = {}

---A text with spaces behind it, of any width; string.format refuses widths of three digits.
---@param text string
---@param width integer
---@return string
function columns.pad(text, width) return text .. (' '):rep(width - #text) end

---@param rows string[][]
---@return string[]
function columns.lines(rows)
  local widths, lines = {}, {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, #cell) end
  end
  for r, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do cells[i] = columns.pad(cell, widths[i]) end
    lines[r] = (table.concat(cells, '  '):gsub('%s+$', ''))
  end
  return lines
end

---The same as a table of Markdown; the first row is its head.
---@param rows string[][]
---@return string[]
function columns.markdown(rows)
  local lines = {}
  for r, row in ipairs(rows) do
    local cells = {}
    for i = 1, #rows[1] do cells[i] = (row[i] or ''):gsub('|', '\\|') end
    lines[#lines + 1] = '| ' .. table.concat(cells, ' | ') .. ' |'
    if r == 1 then lines[#lines + 1] = '|' .. ('---|'):rep(#row) end
  end
  return lines
end

return columns
