-- Rows of cells as lines of text, each column as wide as its widest cell.
local columns = {}

---@param rows string[][]
---@return string[]
function columns.lines(rows)
  local widths, lines = {}, {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, #cell) end
  end
  for r, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do cells[i] = cell .. (' '):rep(widths[i] - #cell) end
    lines[r] = (table.concat(cells, '  '):gsub('%s+$', ''))
  end
  return lines
end

return columns
