-- Numbers that others published, beside ours: with how they came about (measured by the authors, claimed, or derived
-- from what they measured) and how far ours may be from them.
local columns = require 'base.columns'

local published = {}

-- What changes no number, or is asked about apart.
local HARMLESS = { ['^train%.device$'] = true, ['^checkpoint%.'] = true, ['^watchdog%.'] = true, ['^guards%.'] = true,
  ['^%a+%.cache$'] = true, ['^published$'] = true }

---Why the published numbers are not for this run: an option of the command line or of a sweep that changes them, or
---another text than tiny Shakespeare. nil when they are.
---@param current table experiment.current()
---@param sha256 string? of the text; left out where none is read
---@param also table<string, boolean>? further options that change nothing, as Lua patterns
---@return string?
function published.difference(current, sha256, also)
  if current.flags.fast_dev_run then return '--fast-dev-run' end
  for path, origin in pairs(current.origin) do
    local same = origin ~= 'cli' and origin ~= 'cell'
    for _, patterns in ipairs { HARMLESS, also or {} } do
      for pattern in pairs(patterns) do same = same or path:find(pattern) ~= nil end
    end
    if not same then return path end
  end
  local known = require('corpus.registry').known.tinyshakespeare.sha256
  return sha256 and sha256:gsub('^sha256:', '') ~= known and 'another text' or nil
end

local function number(value, digits)
  return value and ('%.' .. digits .. 'f'):format(value) or 'NA'
end

---Prints a table of what was measured here beside what was published; a row without `ours` says so.
---@param rows { what: string, ours: number?, theirs: number, tag: string, tolerance: number?, digits: integer? }[]
---@return integer off rows that are further apart than their tolerance
function published.print(rows)
  local lines, off = { { 'what', 'ours', 'published', 'tag', 'difference' } }, 0
  for i, row in ipairs(rows) do
    local digits = row.digits or 4
    local far = row.ours and row.ours - row.theirs
    local said = far and ('%+.' .. digits .. 'f'):format(far) or 'NA'
    if far and row.tolerance then
      local within = math.abs(far) <= row.tolerance
      off = off + (within and 0 or 1)
      said = ('%s, %s %.3g'):format(said, within and 'within' or 'NOT within', row.tolerance)
    end
    lines[i + 1] = { row.what, number(row.ours, digits), number(row.theirs, digits), row.tag, said }
  end
  print(table.concat(columns.lines(lines), '\n'))
  return off
end

return published
