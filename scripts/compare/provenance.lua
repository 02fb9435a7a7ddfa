-- Where the numbers of a result table come from (guard G27; guards/README.md, Statistics 6). A cell is
--   measured      by runs, whose ids it has
--   derived       by a formula over other cells
--   literature    from a source, measured on its machine
-- A number without one of these cannot be rendered. What is derived from literature is written "for orientation".
local fail = require 'fail'
local guards = require 'guards.registry'
local layout = require 'base.columns'

local provenance = {}

local TAGS = { measured = true, derived = true, literature = true }

local function refuse(text, ...)
  fail.raise(1, '%s', guards.say('G27', text, ...))
end

local function is_text(value)
  return type(value) == 'string' and value ~= ''
end

---A value that runs measured; nil is NA.
---@param value number?
---@param runs string[] their ids
---@return table cell
function provenance.measured(value, runs)
  if type(runs) ~= 'table' or not is_text(runs[1]) then
    refuse('a measured value needs the ids of its runs, got %s', tostring(runs))
  end
  return { tag = 'measured', value = value, runs = runs }
end

---A value of the literature.
---@param value number
---@param source string such as "Karpathy 2015, figure 3"
---@param machine string what it was measured on; "not given" where the source does not say
---@return table cell
function provenance.literature(value, source, machine)
  if not is_text(source) or not is_text(machine) then
    refuse('a value of the literature needs its source and its machine')
  end
  return { tag = 'literature', value = value, source = source, machine = machine, orientation = true }
end

---A value computed from cells: f gets their values, and is not asked when one of them is NA.
---@param formula string such as "a / b"
---@param cells table[]
---@param f fun(...: number): number?
---@return table cell
function provenance.derived(formula, cells, f)
  if not is_text(formula) or #cells == 0 then
    refuse('a derived value needs a formula and the cells it is computed from')
  end
  local values, orientation, known = {}, false, true
  for i, cell in ipairs(cells) do
    provenance.check(cell, ("cell %d of the formula '%s'"):format(i, formula))
    values[i], orientation, known = cell.value, orientation or cell.orientation or false, known and cell.value ~= nil
  end
  return { tag = 'derived', value = known and f(unpack(values, 1, #cells)) or nil, formula = formula, cells = cells,
    orientation = orientation }
end

---a / b; "for orientation" when one of them is of the literature.
---@param a table cell
---@param b table cell
---@return table cell
function provenance.ratio(a, b)
  return provenance.derived('a / b', { a, b }, function(x, y) return y ~= 0 and x / y or nil end)
end

---Raises (exit 1) for a number that does not say where it comes from. Text is not asked.
---@param cell any
---@param where string such as "row 'lr=0.1', column 'val_loss'"
---@return any cell
function provenance.check(cell, where)
  local number = type(cell) == 'number' or type(cell) == 'string' and tonumber(cell) ~= nil
  if number or type(cell) == 'table' and not TAGS[cell.tag] then
    refuse('%s: the value %s has no provenance; a number of a result table is made by provenance.measured, derived or '
      .. 'literature', where, tostring(number and cell or cell.value))
  end
  return cell
end

---A cell as text.
---@param cell any
---@param where string see check
---@param format? fun(value: number): string default four decimals
---@return string
function provenance.text(cell, where, format)
  provenance.check(cell, where)
  if type(cell) ~= 'table' then return cell == nil and 'NA' or tostring(cell) end
  if cell.value == nil then return 'NA' end
  local text = format and format(cell.value) or ('%.4f'):format(cell.value)
  if cell.tag == 'literature' then return ('%s [%s; %s]'):format(text, cell.source, cell.machine) end
  return cell.orientation and text .. ' (for orientation)' or text
end

---A table as lines of text. Raises (exit 1) with row and column for a number without provenance.
---@param columns string[]
---@param rows { label: string, cells: table<string, any> }[] cells by column
---@return string[]
function provenance.render(columns, rows)
  local texts = { { '', unpack(columns) } }
  for i, row in ipairs(rows) do
    texts[i + 1] = { row.label }
    for j, column in ipairs(columns) do
      texts[i + 1][j + 1] = provenance.text(row.cells[column], ("row '%s', column '%s'"):format(row.label, column))
    end
  end
  return layout.lines(texts)
end

return provenance
