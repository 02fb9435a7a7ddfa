-- A run as two tables for spreadsheets and data frames: train.csv and eval.csv. A column for every field that any
-- line has, nested ones with dots; empty where a line lacks it; nan, inf and -inf as such.
local output_files = require 'base.output_files'
local pretty = require 'pretty'
local run_metrics = require 'runs.metrics'

local csv = { summary = 'two tables, train.csv and eval.csv' }

local FIRST = { 'step', 't', 'epoch', 'split' } -- these columns lead, the others follow by name

-- Calls f(name, value) for each plain value of a line.
local function each_field(object, prefix, f)
  for key, value in pairs(object) do
    if type(value) == 'table' then
      each_field(value, prefix .. key .. '.', f)
    else
      f(prefix .. key, value)
    end
  end
end

local function cell(value)
  if value == nil then return '' end
  local text = type(value) == 'number' and pretty.number(value) or tostring(value)
  return text:find('[",\r\n]') and '"' .. text:gsub('"', '""') .. '"' or text
end

local function columns_of(folder, kind)
  local seen, rows = {}, 0
  for line in run_metrics.lines(folder, { [kind] = true }) do
    rows = rows + 1
    each_field(line, '', function(name) seen[name] = true end)
  end
  seen.kind = nil -- the same in every row
  local columns = {}
  for _, name in ipairs(FIRST) do
    if seen[name] then columns[#columns + 1] = name end
    seen[name] = nil
  end
  for _, name in ipairs(pretty.sorted_keys(seen)) do columns[#columns + 1] = name end
  return columns, rows
end

local function write_table(folder, kind, path, columns)
  output_files.write(path, function(write)
    local cells = {}
    for i, name in ipairs(columns) do cells[i] = cell(name) end
    write(table.concat(cells, ',') .. '\n')
    for line in run_metrics.lines(folder, { [kind] = true }) do
      local values = {}
      each_field(line, '', function(name, value) values[name] = value end)
      for i, name in ipairs(columns) do cells[i] = cell(values[name]) end
      write(table.concat(cells, ',') .. '\n')
    end
  end)
end

---Writes the tables of a run into the folder `out`; one without lines is left out. Returns what was written.
---@param run { path: string }
---@param out string
---@param force boolean?
---@return { path: string, rows: integer }[]
function csv.write(run, out, force)
  local written = {}
  for _, kind in ipairs { 'train', 'eval' } do
    local columns, rows = columns_of(run.path, kind)
    local path = ('%s/%s.csv'):format(out, kind)
    if rows > 0 then written[#written + 1] = { path = path, rows = rows, kind = kind, columns = columns } end
  end
  for _, file in ipairs(written) do output_files.check_free(file.path, force) end
  if #written > 0 then output_files.make_folder(out) end
  for _, file in ipairs(written) do write_table(run.path, file.kind, file.path, file.columns) end
  return written
end

return csv
