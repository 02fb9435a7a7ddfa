-- A process that works on one cell: `runner run SCRIPT --cell FOLDER`. It takes the cell by a claim, goes on with the
-- cell's run where there is one, and writes how it ended into the claim.
local at_exit = require 'boot.at_exit'
local cells = require 'sweep.cells'
local console = require 'console'
local dkjson = require 'dkjson'
local end_states = require 'runs.end_states'
local fail = require 'fail'
local host = require 'host'
local json = require 'json'
local pruning = require 'sweep.pruning'
local read_file = require 'base.read_file'
local run_files = require 'runs.files'
local shared = require 'sweep.study.shared'
local slurm = require 'sweep.slurm'
local stopping = require 'sweep.stopping'

local worker = {}

local MACHINE = 9
local TIME_LIMIT = 'time limit of the job'
local SLACK_S = 60 -- Slurm may ask so much earlier

local Cell = {}
Cell.__index = Cell

local function sweep_of(folder) return (folder:match '^(.*)/cells/[^/]*$') end

-- Takes the next claim of the folder. False when the cell is over or another process works on it.
local function claim_here(folder, about)
  while true do
    local state = cells.state(sweep_of(folder), about.id)
    local goes_on = state.state == 'pruned' and about.promoted == state.attempt
    if state.state == 'running' or cells.is_over(state.state) and not goes_on then return false, state end
    local taken, message = host.take_claim(folder, state.attempt + 1)
    if taken == nil then fail.raise(MACHINE, 'the cell cannot be claimed: %s', message) end
    if taken then return state.attempt + 1 end
  end
end

-- Takes the cell: from all machines, where they share a study, then from those that share the folder.
local function claim(folder, about)
  if not about.shared then return claim_here(folder, about) end
  local study = shared.join(sweep_of(folder))
  local own = cells.state(sweep_of(folder), about.id)
  if own.state == 'running' then return false, own end
  study:pull(about.id)
  if not study:claim(about.id, about.promoted ~= nil) then
    study:pull(about.id)
    return false, study:merge(about.id, cells.state(sweep_of(folder), about.id))
  end
  study:rest()
  local attempt, other = claim_here(folder, about)
  if attempt then return attempt end
  if cells.is_over(other.state) then study:finish(about.id, other) end -- the study did not know
  return false, other
end

-- How the newest run of the cell ended; nothing when there is none.
local function run_exit(folder)
  local path = host.realpath(folder .. '/run')
  return path and run_files.read_json(path .. '/exit.json'), path
end

-- Whether the three newest attempts, this one too, ended at the time limit of their job without getting any further.
local function is_stuck(cell, step)
  for attempt = cell.attempt - 1, cell.attempt - 2, -1 do
    local text = read_file(('%s/claim-%d/exit.json'):format(cell.folder, attempt))
    local before = text and dkjson.decode(text)
    if type(before) ~= 'table' or before.step ~= step or before.reason ~= TIME_LIMIT then return false end
  end
  return true
end

-- What becomes of a cell that Slurm asked to leave: its job is started again, and goes on from what was saved.
local function leave_job(cell, own)
  if stopping.is_asked(sweep_of(cell.folder)) then return 'INTERRUPTED', 'the sweep was asked to stop', false end
  local left = slurm.time_left()
  if left == nil or left > (cell.signal_s or 0) + SLACK_S then return 'PREEMPTED', 'preempted', true end
  if is_stuck(cell, own.step) then
    return 'FAILED', ('three jobs ended at their time limit at update %s'):format(tostring(own.step)), false
  end
  return 'PREEMPTED', TIME_LIMIT, true
end

local function write_end(cell, code)
  local exit, run = run_exit(cell.folder)
  local own = run and cell.runs[run] and exit or {}
  local state = end_states[code] or 'FAILED'
  if own.code == code and own.state then state = own.state end
  local reason, requeue = cell.reason or own.reason or '', nil
  if state == 'PREEMPTED' and slurm.own_job() then state, reason, requeue = leave_job(cell, own) end
  local written, message = host.end_claim(json.encode { format = 1, code = code, state = state,
    reason = reason, run = run and run:match '[^/]*/[^/]*$', wall_s = host.now() - cell.began,
    cpu_s = own.cpu_s, ended = host.unix_time(), step = own.step, steps = own.steps, summary = own.summary } .. '\n')
  if not written then console.warn('the end of the cell cannot be recorded: ' .. tostring(message)) end
  local sweep = sweep_of(cell.folder)
  local study = shared.of(sweep)
  if study then
    local ok, problem = study:finish(cell.id, cells.state(sweep, cell.id))
    if not ok then console.warn('the study does not have the end of this cell: ' .. problem) end
  end
  if not requeue then return end
  local ok, said = slurm.requeue(code)
  if not ok then console.warn('the job cannot be started again: ' .. said) end
end

---Takes the cell. Nil when there is nothing to do.
---@param folder string
---@return table? cell { settings: string[], name: string, id: string }
function worker.begin(folder)
  folder = host.realpath(folder) or fail.usage("--cell: '%s' is not a folder", folder)
  local text = read_file(folder .. '/cell.json')
  local about = text and dkjson.decode(text)
  if type(about) ~= 'table' then fail.usage("--cell: '%s' is not the folder of a cell", folder) end
  if stopping.is_asked(sweep_of(folder)) then
    console.note(('cell %s is not begun: the sweep was asked to stop'):format(about.id))
    return nil
  end
  local began = host.now()
  local attempt, other = claim(folder, about)
  if not attempt then
    console.note(('cell %s is %s%s'):format(about.id, other.state,
      other.state == 'running' and (': process %d on %s'):format(other.pid, other.host) or ''))
    return nil
  end
  local cell = setmetatable({ folder = folder, id = about.id, sweep = about.sweep, settings = about.set,
    pruner = about.pruner, metric = about.metric, maximize = about.maximize, signal_s = about.signal_s,
    attempt = attempt, began = began, runs = {} }, Cell)
  at_exit.add(function(code) write_end(cell, code) end)
  return cell
end

---The run that an earlier attempt began; nil when there is none to go on with.
---@return string?
function Cell:run()
  local _, path = run_exit(self.folder)
  return path
end

---The callback by which the cell's first training is judged; nil where nothing judges it.
---@return table?
function Cell:callback()
  if not self.pruner or self.judged then return nil end
  self.judged = true
  return pruning.callback(self)
end

---Notes the run directory that the cell works in.
---@param path string
function Cell:works_in(path)
  path = host.realpath(path)
  self.runs[path] = true
  -- Relative where it can be, so that the results folder may move.
  local results, id = path:match '^(.*)/([^/]*)$'
  local near = self.folder:match '^(.*)/[^/]*/cells/[^/]*$' == results
  local linked, message = host.link(self.folder .. '/run', near and '../../../' .. id or path)
  if not linked then fail.raise(MACHINE, '%s', message) end
end

return worker
