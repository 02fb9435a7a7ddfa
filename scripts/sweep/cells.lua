-- What became of the cells of a sweep, from their folders alone: cells/<id>/ holds a claim for every attempt, and
-- `run`, a link to the run directory. Whoever asks, on any machine, gets the same answer.
--   missing   never begun                      lost      its process is gone without a word
--   running   a process works on it            stopped   it was asked to stop; goes on from its checkpoint
--   done      finished                         failed    it ended with an error
--   pruned    given up for better ones
local dkjson = require 'dkjson'
local host = require 'host'
local index = require 'sweep.study.index'
local json = require 'json'
local shared = require 'sweep.study.shared'

local cells = {}

local STOPPED = { INTERRUPTED = true, PREEMPTED = true, TIMEOUT = true }

---@param folder string of the sweep
---@param id string
---@return string
function cells.folder(folder, id)
  return ('%s/cells/%s'):format(folder, id)
end

local function state_of(claim, exit)
  if not claim then return 'missing' end
  if not exit then return claim.alive and 'running' or 'lost' end
  if exit.state == 'FINISHED' then return 'done' end
  if exit.state == 'PRUNED' then return 'pruned' end
  return STOPPED[exit.state] and 'stopped' or exit.state == 'LOST' and 'lost' or 'failed'
end

---@param folder string of the sweep
---@param id string
---@param brief? boolean who worked on a cell that is over does not matter
---@return { id: string, state: string, attempt: integer, pid: integer?, host: string?, exit: table? }
function cells.state(folder, id, brief)
  local claim = host.read_claim(cells.folder(folder, id), brief)
  local exit = claim and claim.exit and dkjson.decode(claim.exit) or nil
  if claim and claim.exit and type(exit) ~= 'table' then
    exit = { state = 'FAILED', reason = 'its exit.json is damaged' }
  end
  return { id = id, state = state_of(claim, exit), attempt = claim and claim.number or 0, pid = claim and claim.pid,
    host = claim and claim.host, exit = exit }
end

---As cells.state, with what a study that machines share knows of the cell.
---@return { id: string, state: string, attempt: integer, pid: integer?, host: string?, exit: table?,
---elsewhere: boolean? }
function cells.now(folder, id, brief)
  local own, study = cells.state(folder, id, brief), shared.of(folder)
  return study and study:merge(id, own) or own
end

---The ids of the cells that have a folder: all others are missing.
---@param folder string of the sweep
---@return table<string, boolean>
function cells.begun(folder)
  local found = {}
  for _, id in ipairs(host.listdir(folder .. '/cells') or {}) do found[id] = true end
  return found
end

---The states of all cells that have a folder, by id. Those that are over are read from the index as long as nobody
---has claimed them since.
---@param folder string of the sweep
---@return table<string, table> states
function cells.states(folder)
  local found, kept, fresh = {}, index.read(folder, 'cell'), {}
  for id in pairs(cells.begun(folder)) do
    local about = host.stat(cells.folder(folder, id))
    local row = kept[id]
    if about and row and row.stamp == about.mtime then
      found[id] = dkjson.decode(row.body)
    else
      found[id] = cells.state(folder, id, true)
      if about and cells.is_over(found[id].state) then
        fresh[#fresh + 1] = { id = id, stamp = about.mtime, body = json.encode(found[id]) }
      end
    end
  end
  index.keep(folder, 'cell', fresh)
  return found
end

---States that `runner sweep` does not work on again.
---@param state string
---@return boolean
function cells.is_over(state)
  return state == 'done' or state == 'pruned'
end

---The value of a metric of a cell that is over; nil when it has none.
---@param exit table?
---@param name string
---@param mode "best"|"last"
---@return number?
function cells.metric(exit, name, mode)
  local summary = exit and type(exit.summary) == 'table' and exit.summary[name]
  local value = type(summary) == 'table' and summary[mode] or nil
  if value == nil and type(summary) == 'table' then value = summary.last end
  return type(value) == 'number' and value or nil
end

return cells
