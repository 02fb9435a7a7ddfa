-- Which sweep a word of the command line means: a path of its folder, EXPERIMENT/sweep-NAME, sweep-NAME, NAME, or
-- 'latest', the one that was planned last.
local dkjson = require 'dkjson'
local fail = require 'fail'
local host = require 'host'
local nearest = require 'nearest'
local plan = require 'sweep.planning.plan'
local run_files = require 'runs.files'

local select = {}

local PREFIX = 'sweep-'

---All sweeps below the results folder, by experiment and name.
---@return { experiment: string, name: string, path: string }[]
function select.list()
  local found, root = {}, run_files.root()
  for _, experiment in ipairs(host.listdir(root) or {}) do
    for _, folder in ipairs(host.listdir(root .. '/' .. experiment) or {}) do
      local path = ('%s/%s/%s'):format(root, experiment, folder)
      local is_whole = folder:find '^sweep%-[a-z0-9][a-z0-9_-]*$' -- while it is planned it has a longer name
      if is_whole and plan.exists(path) then
        found[#found + 1] = { experiment = experiment, name = folder:sub(#PREFIX + 1), path = path }
      end
    end
  end
  return found
end

---The folder of a sweep.
---@param experiment string
---@param name string
---@return string
function select.folder(experiment, name)
  return ('%s/%s/%s%s'):format(run_files.root(), experiment, PREFIX, name)
end

local function created(found)
  local file = io.open(plan.path(found.path))
  local head = file and dkjson.decode(file:read '*l' or '')
  if file then file:close() end
  return type(head) == 'table' and tostring(head.created) or ''
end

local function newest(sweeps)
  local best, best_time
  for _, one in ipairs(sweeps) do
    local time = created(one)
    if not best or time > best_time then best, best_time = one, time end
  end
  return best
end

local function by_path(word)
  local path = word:gsub('(.)/+$', '%1')
  if not plan.exists(path) then return nil end
  local experiment, name = (host.realpath(path)):match '([^/]*)/([^/]*)$'
  return { experiment = experiment, name = (name:gsub('^' .. PREFIX:gsub('%-', '%%-'), '')), path = path }
end

---The sweep that a word means, if there is one.
---@param word string
---@return { experiment: string, name: string, path: string }?
function select.find(word)
  local direct = by_path(word)
  if direct then return direct end
  local sweeps, fitting = select.list(), {}
  for _, one in ipairs(sweeps) do
    local full = ('%s/%s%s'):format(one.experiment, PREFIX, one.name)
    if word == full or word == PREFIX .. one.name or word == one.name then fitting[#fitting + 1] = one end
  end
  if #fitting > 1 then
    local names = {}
    for i, one in ipairs(fitting) do names[i] = ('%s/%s%s'):format(one.experiment, PREFIX, one.name) end
    fail.usage("sweep '%s': %d have that name: %s", word, #fitting, table.concat(names, ', '))
  end
  return fitting[1]
end

---The sweep that a word means. Raises (exit 2) when there is none.
---@param word string
---@return { experiment: string, name: string, path: string }
function select.one(word)
  local found = select.find(word)
  if found then return found end
  local sweeps = select.list()
  if #sweeps == 0 then fail.usage("there are no sweeps in '%s'", run_files.root()) end
  if word == 'latest' then return newest(sweeps) end
  local names = {}
  for i, one in ipairs(sweeps) do names[i] = one.name end
  fail.usage("sweep '%s' is not in '%s'%s", word, run_files.root(), nearest.hint(word, names))
end

return select
