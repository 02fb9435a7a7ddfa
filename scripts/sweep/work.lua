-- What launchers share: the folder of a cell, the command of its worker, and where further cells come from.
local cells = require 'sweep.cells'
local dkjson = require 'dkjson'
local fail = require 'fail'
local files = require 'files'
local host = require 'host'
local pruning = require 'sweep.pruning'
local shared = require 'sweep.study.shared'
local trials = require 'sweep.planning.trials'

local work = {}

local MACHINE = 9

work.FAILED_CELLS = 8 -- the exit code of a sweep that ended with failed cells

---Makes the folder of a cell, with what its worker must know of it.
---@param sweep table folder, name, pruner, metric, maximize
---@param cell table of the plan
---@param promoted? integer the attempt after which a pruned cell goes on
---@return string folder
function work.make_folder(sweep, cell, promoted)
  local folder = cells.folder(sweep.folder, cell.id)
  local made, message = files.make_folder(folder)
  if not made then fail.raise(MACHINE, 'cell %s cannot start: %s', cell.id, message) end
  files.write(folder .. '/cell.json', dkjson.encode({ format = 1, id = cell.id, i = cell.i, set = cell.set,
    sweep = sweep.name, pruner = sweep.pruner, metric = sweep.metric, maximize = sweep.maximize,
    promoted = promoted, signal_s = sweep.signal_s, shared = shared.of(sweep.folder) ~= nil or nil }) .. '\n')
  return folder
end

---The words after `runner` that work on a cell.
---@param sweep table script, words, rest (the script's own arguments)
---@param folder string of the cell
---@return string[]
function work.words(sweep, folder)
  local words = { 'run', sweep.script, '--cell', folder }
  if host.scripts then words = { '--scripts', host.scripts, unpack(words) } end
  for _, word in ipairs(sweep.words) do words[#words + 1] = word end
  if #sweep.rest > 0 then words[#words + 1] = '--' end
  for _, word in ipairs(sweep.rest) do words[#words + 1] = word end
  return words
end

---What launchers keep of the cells of a plan: all of them, those that are over by id, and those that are left.
---@param folder string of the sweep
---@param plan_cells table[]
---@return { cells: table[], done: table<string, table>, left: table[] }
function work.split(folder, plan_cells)
  local made = { cells = {}, done = {}, left = {} }
  for i, cell in ipairs(plan_cells) do
    made.cells[i] = cell
    local now = cells.now(folder, cell.id)
    if cells.is_over(now.state) then made.done[cell.id] = now else made.left[#made.left + 1] = cell end
  end
  return made
end

---A pruned cell that may go on by now, once from where it stands; nil when there is none.
---@param sweep table folder, cells, done, pruner, promotions: the attempt after which each cell went on
---@param is_last boolean no further cell comes
---@return table? cell
function work.promoted(sweep, is_last)
  if not sweep.pruner then return nil end
  local reports
  for _, cell in ipairs(sweep.cells) do
    local now = sweep.done[cell.id]
    if now and now.state == 'pruned' and not now.elsewhere and sweep.promotions[cell.id] ~= now.attempt then
      reports = reports or pruning.reports(sweep.folder)
      if pruning.promotes(sweep.pruner, cell.id, reports, is_last) then
        sweep.promotions[cell.id], sweep.done[cell.id] = now.attempt, nil
        sweep.view:promoted(cell)
        return cell
      end
    end
  end
  return nil
end

---The cells of the next trial, where a sampler decides about them; nil when there is none.
---@param sweep table search, cells, to which they are added, view, and contact with a study
---@return table[]?
function work.next_trial(sweep)
  if not sweep.search then return nil end
  local new, message = trials.next(sweep.search)
  if message then sweep.contact:silent(message) end
  if not new then return nil end
  for _, cell in ipairs(new) do sweep.cells[#sweep.cells + 1] = cell end
  sweep.view:planned(new)
  return new
end

return work
