-- The trials of a sampler that learns: trials/<k>.json, each made once, whichever process is first. What is tried next
-- depends on what has come of those before.
local cells = require 'sweep.cells'
local dkjson = require 'dkjson'
local draw = require 'sweep.draw'
local expand = require 'sweep.expand'
local fail = require 'fail'
local files = require 'files'
local host = require 'host'
local metric_of = require('compare.record').metric_of
local read_file = require 'base.read_file'
local tpe = require 'sweep.tpe'

local trials = {}

local MACHINE = 9
local MOST_REJECTED = 1000

local function path_of(folder, k) return ('%s/trials/%05d.json'):format(folder, k) end

---All trials of a sweep, in order.
---@param folder string
---@return { k: integer, values: string[], cells: table[] }[]
function trials.read(folder)
  local found = {}
  while true do
    local text = read_file(path_of(folder, #found))
    local trial = text and dkjson.decode(text)
    if type(trial) ~= 'table' then return found end
    found[#found + 1] = trial
  end
end

-- The mean loss of a trial over its seeds; nil while one of them is not over, infinite when one failed.
local function loss_of(folder, trial, head)
  local name, mode = metric_of(head.metric)
  local sum = 0
  for _, cell in ipairs(trial.cells) do
    local now = cells.state(folder, cell.id)
    if now.state == 'failed' then return math.huge end
    if not cells.is_over(now.state) then return nil end
    local value = cells.metric(now.exit, name, mode)
    if not value then return math.huge end
    sum = sum + (head.maximize and -value or value)
  end
  return sum / #trial.cells
end

local function propose(study, known, k)
  local head = study.head
  if k < tpe.STARTUP then return draw.trial('random', study.drawn, k, head.sampler_seed) end
  local seen = {}
  for i, trial in ipairs(known) do
    seen[i] = { values = trial.values, loss = loss_of(study.folder, trial, head) }
  end
  return tpe.propose(study.drawn, seen, function(...) return draw.unit('tpe', head.sampler_seed, k, ...) end)
end

-- The cells of a trial, or nil when `where` rejects it.
local function cells_of(study, values, count)
  local made = {}
  for _, seed in ipairs(expand.seeds(study)) do
    local settings = expand.settings(study.drawn, values)
    for _, text in ipairs(seed) do settings[#settings + 1] = text end
    local id, accepted = study.identify(settings)
    if not accepted then return nil end
    made[#made + 1] = { i = count + #made + 1, id = id, set = settings }
  end
  return made
end

---Begins the next trial. Nil when there are as many as were asked for.
---@param study { folder: string, head: table, drawn: table[], seeds: integer?, first_seed: integer?,
---identify: fun(settings: string[]): string, boolean }
---@return table[]? cells
function trials.next(study)
  local head = study.head
  local made, message = files.make_folder(study.folder .. '/trials')
  if not made then fail.raise(MACHINE, 'no further trial: %s', message) end
  while true do
    local known = trials.read(study.folder)
    local k, count = #known, 0
    if k >= head.trials then return nil end
    for _, trial in ipairs(known) do count = count + #trial.cells end
    local values = propose(study, known, k)
    local new = cells_of(study, values, count)
    for i = 1, MOST_REJECTED do
      if new then break end
      values = draw.trial('random', study.drawn, k + i * head.trials, head.sampler_seed)
      new = cells_of(study, values, count)
    end
    if not new then fail.config('`where` rejects %d draws in a row', MOST_REJECTED) end
    local first, problem = host.create_file(path_of(study.folder, k),
      dkjson.encode { format = 1, k = k, values = values, cells = new } .. '\n')
    if first == nil then fail.raise(MACHINE, 'no further trial: %s', problem) end
    if first then return new end
  end
end

return trials
