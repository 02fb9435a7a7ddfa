-- What a sweep is going to take, from one measured cell: one that is over, else the first one's start, its measured
-- step and what it would save.
local cells = require 'sweep.cells'
local dkjson = require 'dkjson'
local fail = require 'fail'
local host = require 'host'
local read_file = require 'base.read_file'
local shell = require 'base.shell'

local estimate = {}

-- The mean time of cells that are over; nil when there is none.
local function from_results(folder, planned)
  local sum, count = 0, 0
  for id in pairs(cells.begun(folder)) do
    local exit = cells.state(folder, id).exit
    if exit and exit.state == 'FINISHED' and exit.wall_s then sum, count = sum + exit.wall_s, count + 1 end
  end
  if count == 0 then return nil end
  return { cell_s = sum / count, of = ('%d of %d cells that are over'):format(count, #planned.cells) }
end

-- Starts the first cell as it would be trained, up to the measured step.
local function from_first_cell(planned, words, threads)
  local path = os.tmpname()
  local command = { ('OMP_NUM_THREADS=%d'):format(threads), shell.quote(host.folder .. '/runner') }
  if host.scripts then command[#command + 1] = '--scripts ' .. shell.quote(host.scripts) end
  for _, word in ipairs { 'run', planned.head.script, '-q', '--estimate', path } do
    command[#command + 1] = shell.quote(word)
  end
  for _, list in ipairs { words, planned.cells[1].set } do
    for _, word in ipairs(list) do command[#command + 1] = shell.quote(word) end
  end
  if #planned.head.rest > 0 then command[#command + 1] = '--' end
  for _, word in ipairs(planned.head.rest) do command[#command + 1] = shell.quote(word) end
  local began = host.now()
  local output, code = shell.output(table.concat(command, ' '))
  local wall_s = host.now() - began
  local measured = dkjson.decode(read_file(path) or '')
  os.remove(path)
  if code ~= 0 or type(measured) ~= 'table' then
    fail.raise(code ~= 0 and code or 1, 'the first cell cannot be measured: %s',
      (output:match 'error: ([^\n]*)' or output):gsub('%s+$', ''))
  end
  return { cell_s = wall_s + measured.train_s, disk_bytes = measured.disk_bytes, of = 'a measured step '
    .. 'of the first' }
end

---@param folder string of the sweep, which need not exist
---@param planned { head: table, cells: table[] }
---@param words string[] of every cell
---@param threads integer of a cell
---@return { cell_s: number, disk_bytes: number?, of: string }
function estimate.of(folder, planned, words, threads)
  return from_results(folder, planned) or from_first_cell(planned, words, threads)
end

return estimate
