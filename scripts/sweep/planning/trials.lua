-- The trials of a sampler that learns: trials/<k>.json, each made once, whichever process is first. What is tried next
-- depends on what has come of those before.
local cells = require 'sweep.cells'
local dkjson = require 'dkjson'
local draw = require 'sweep.planning.draw'
local expand = require 'sweep.planning.expand'
local fail = require 'fail'
local files = require 'files'
local host = require 'host'
local index = require 'sweep.study.index'
local metric = require 'sweep.metric'
local read_file = require 'base.read_file'
local shared = require 'sweep.study.shared'
local tpe = require 'sweep.planning.tpe'

local trials = {}

local MACHINE = 9
local MOST_REJECTED = 1000

local function path_of(folder, k) return ('%s/trials/%05d.json'):format(folder, k) end

---All trials of a sweep, in order.
---@param folder string
---@return { k: integer, values: string[], cells: table[], text: string }[]
function trials.read(folder)
  local found, kept, fresh = {}, index.read(folder, 'trial'), {}
  while true do
    local path, id = path_of(folder, #found), tostring(#found)
    local about, row = host.stat(path), kept[id]
    local is_kept = about and row and row.stamp == about.mtime
    local text = is_kept and row.body or read_file(path)
    local trial = text and dkjson.decode(text)
    if type(trial) ~= 'table' then break end
    if about and not is_kept then fresh[#fresh + 1] = { id = id, stamp = about.mtime, body = text } end
    trial.text = text
    found[#found + 1] = trial
  end
  index.keep(folder, 'trial', fresh)
  return found
end

-- The mean loss of a trial over its seeds; nil while one of them is not over, infinite when one has none.
local function loss_of(trial, states, values, head)
  local sum = 0
  for _, cell in ipairs(trial.cells) do
    local state, value = states[cell.id].state, values[cell.id]
    if state ~= 'failed' and not cells.is_over(state) then return nil end
    if state == 'failed' or not value then return math.huge end
    sum = sum + (head.maximize and -value or value)
  end
  return sum / #trial.cells
end

-- Trials with their losses.
local function losses(search, known)
  local states, exits = {}, {}
  for _, trial in ipairs(known) do
    for _, cell in ipairs(trial.cells) do
      local now = cells.now(search.folder, cell.id)
      states[cell.id], exits[cell.id] = now, now.exit
    end
  end
  local values, seen = metric.values(exits, search.head.metric), {}
  for i, trial in ipairs(known) do
    seen[i] = { values = trial.values, loss = loss_of(trial, states, values, search.head) }
  end
  return seen
end

local function propose(search, known, k)
  local head = search.head
  if k < tpe.STARTUP then return draw.trial('random', search.drawn, k, head.sampler_seed) end
  return tpe.propose(search.drawn, losses(search, known), function(...)
    return draw.unit('tpe', head.sampler_seed, k, ...)
  end)
end

-- The cells of a trial, or nil when `where` rejects it.
local function cells_of(search, values, count)
  local made = {}
  for _, seed in ipairs(expand.seeds(search)) do
    local settings = expand.settings(search.drawn, values)
    for _, text in ipairs(seed) do settings[#settings + 1] = text end
    local id, accepted = search.identify(settings)
    if not accepted then return nil end
    made[#made + 1] = { i = count + #made + 1, id = id, set = settings }
  end
  return made
end

-- Writes trial k, unless another process was faster.
local function write(folder, k, text)
  local first, problem = host.create_file(path_of(folder, k), text)
  if first == nil then fail.raise(MACHINE, 'no further trial: %s', problem) end
  return first
end

-- Makes the k-th trial, unless another process or machine is faster. False, message when the study does not answer.
local function make(search, known)
  local head, k, count = search.head, #known, 0
  for _, trial in ipairs(known) do count = count + #trial.cells end
  local values = propose(search, known, k)
  local new = cells_of(search, values, count)
  for i = 1, MOST_REJECTED do
    if new then break end
    values = draw.trial('random', search.drawn, k + i * head.trials, head.sampler_seed)
    new = cells_of(search, values, count)
  end
  if not new then fail.config('`where` rejects %d draws in a row', MOST_REJECTED) end
  local text = dkjson.encode { format = 1, k = k, values = values, cells = new } .. '\n'
  local study = shared.of(search.folder)
  if not study then return write(search.folder, k, text) ~= nil end
  return study:add_trial(k, text)
end

-- All trials, those of other machines too, which become files here. Nil, message when the study does not answer.
local function read_all(folder)
  local known, study = trials.read(folder), shared.of(folder)
  if not study then return known end
  local rows, message = study:trials(#known)
  if not rows then return nil, message end
  for _, row in ipairs(rows) do write(folder, row[1], row[2]) end
  return #rows > 0 and trials.read(folder) or known
end

---Whether trials may come that this process has not had.
---@param search table
---@return boolean
function trials.may_come(search)
  return search.given < search.head.trials
end

---The cells of the next trial that this process has not had, whoever began it. Nil when there are as many as were
---asked for; nil, message when a study that decides does not answer.
---@param search { folder: string, head: table, drawn: table[], seeds: integer?, first_seed: integer?, given: integer,
---identify: fun(settings: string[]): string, boolean } given: trials that this process has had
---@return table[]? cells, string? message
function trials.next(search)
  local made, message = files.make_folder(search.folder .. '/trials')
  if not made then fail.raise(MACHINE, 'no further trial: %s', message) end
  while true do
    local known, problem = read_all(search.folder)
    if not known then return nil, problem end
    if #known > search.given then
      search.given = search.given + 1
      return known[search.given].cells
    end
    if #known >= search.head.trials then return nil end
    local ok
    ok, problem = make(search, known)
    if not ok then return nil, problem end
  end
end

return trials
