-- What launchers share: the folder of a cell, the command of its worker, and where further cells come from.
local cells = require 'sweep.cells'
local dkjson = require 'dkjson'
local fail = require 'fail'
local files = require 'files'
local host = require 'host'
local trials = require 'sweep.trials'

local work = {}

local MACHINE = 9

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
    promoted = promoted, signal_s = sweep.signal_s }) .. '\n')
  return folder
end

---The words after `runner` that work on a cell.
---@param sweep table script, words
---@param folder string of the cell
---@return string[]
function work.words(sweep, folder)
  local words = { 'run', sweep.script, '--cell', folder }
  if host.scripts then words = { '--scripts', host.scripts, unpack(words) } end
  for _, word in ipairs(sweep.words) do words[#words + 1] = word end
  return words
end

---The cells of the next trial, where a sampler decides about them; nil when there is none.
---@param sweep table with `study`
---@return table[]?
function work.next_trial(sweep)
  return sweep.study and trials.next(sweep.study) or nil
end

return work
