-- Which run a word of the command line means. A word is one of
--   a path of a run directory        results/xor/20260101-101500-a1b2c3, or .../latest
--   latest                           the newest run of all
--   EXPERIMENT                       its newest run
--   EXPERIMENT/latest, EXPERIMENT/ID, or a beginning of the ID that fits one run only
--   ID, or a beginning of it         of any experiment
-- "Newest" is by run id, never by the time of a file (guard G32): touching an old run changes nothing.
local fail = require 'fail'
local host = require 'host'
local nearest = require 'nearest'
local run_files = require 'runs.files'

local select = {}

local SHOWN = 5 -- candidates that a message names

local function full_name(run)
  return run.experiment .. '/' .. run.id
end

local function newest(runs)
  local best
  for _, run in ipairs(runs) do
    if not best or run.id > best.id then best = run end
  end
  return best
end

-- Experiments that have runs, and how many.
local function experiments(runs)
  local names, counts = {}, {}
  for _, run in ipairs(runs) do
    if not counts[run.experiment] then names[#names + 1] = run.experiment end
    counts[run.experiment] = (counts[run.experiment] or 0) + 1
  end
  return names, counts
end

local function of_experiment(runs, name)
  local found = {}
  for _, run in ipairs(runs) do
    if run.experiment == name then found[#found + 1] = run end
  end
  return found
end

-- The newest first, as people look for those.
local function candidates(runs)
  local sorted = { unpack(runs) }
  table.sort(sorted, function(a, b) return a.id > b.id end)
  local shown = {}
  for i = 1, math.min(#sorted, SHOWN) do shown[i] = full_name(sorted[i]) end
  if #sorted > SHOWN then shown[#shown + 1] = ('and %d more'):format(#sorted - SHOWN) end
  return table.concat(shown, ', ')
end

-- The one run whose id begins with the text; nil when none does.
local function by_prefix(word, text, runs)
  local found = {}
  for _, run in ipairs(runs) do
    if run.id == text then return run end
    if run.id:sub(1, #text) == text then found[#found + 1] = run end
  end
  if #found > 1 then
    fail.usage("run '%s': %d runs begin with that: %s; give more of the id", word, #found, candidates(found))
  end
  return found[1]
end

-- `<folder>/latest` is the newest run in the folder by id, whatever the link of that name says.
local function newest_in(folder)
  local best
  for _, name in ipairs(host.listdir(folder) or {}) do
    if run_files.is_id(name) and (not best or name > best) then best = name end
  end
  return best and folder .. '/' .. best
end

-- A folder is a run when it has the files of one, or the name of one (a run that was only just claimed).
local function by_path(word)
  local path = word:gsub('(.)/+$', '%1')
  local folder = path:match('^(.+)/latest$')
  path = folder and newest_in(folder) or path
  local info = host.stat(path)
  if not info or info.type ~= 'dir' then return nil end
  local absolute = host.realpath(path)
  local parent, name = absolute:match('^(.*)/([^/]*)$')
  if not run_files.is_id(name) and not host.stat(path .. '/status.json')
    and not host.stat(path .. '/manifest.json') then
    return nil
  end
  return { experiment = parent:match('[^/]*$'), id = name,
    path = run_files.is_id(path:match('[^/]*$')) and path or absolute }
end

local function in_experiment(word, runs)
  local name, rest = word:match('^([^/]+)/([^/]+)/?$')
  if not name then return nil end
  local own = of_experiment(runs, name)
  if #own == 0 then return nil end
  if rest == 'latest' then return newest(own) end
  local run = by_prefix(word, rest, own)
  if not run then fail.usage("run '%s': '%s' has no run with that id; it has %s", word, name, candidates(own)) end
  return run
end

local function refuse(word, runs)
  local root = run_files.root()
  if #runs == 0 then
    fail.usage("run '%s': there are no runs in '%s'%s", word, root,
      host.getenv('RUNNER_RESULTS_DIR') and '' or '; go to the folder that holds results/, or set RUNNER_RESULTS_DIR')
  end
  local info = host.stat(word)
  if info and info.type == 'dir' and newest_in(word) then
    fail.usage("run '%s': the folder holds runs; its newest is %s/latest", word, (word:gsub('/+$', '')))
  end
  if info then
    fail.usage("run '%s': the %s has no status.json or manifest.json, so it is not a run directory; newest runs: %s",
      word, info.type == 'dir' and 'folder' or 'file', candidates(runs))
  end
  if word ~= '' and host.stat(('%s/%s'):format(root, word)) then
    fail.usage("run '%s': the experiment has no runs in '%s'; newest runs: %s", word, root, candidates(runs))
  end
  local names, ids = experiments(runs), {}
  for _, run in ipairs(runs) do ids[#ids + 1] = full_name(run) end
  local close = nearest.find(word, names)
  if #close == 0 then close = nearest.find(word, ids) end
  local hint = #close > 0 and '; nearest: ' .. table.concat(close, ', ', 1, math.min(#close, 3))
    or '; newest runs: ' .. candidates(runs)
  fail.usage("run '%s' is not in '%s': expected a path, a run id or its beginning, an experiment or 'latest'%s", word,
    root, hint)
end

---The run that a word means. Raises (exit 2) with the candidates when none fits or several do.
---@param word string
---@return { experiment: string, id: string, path: string } run
function select.one(word)
  if word:find('/') and not word:match('^[^/]+/latest/?$') then
    local run = by_path(word)
    if run then return run end
  end
  local runs = run_files.list()
  if word == 'latest' and #runs > 0 then return newest(runs) end
  return in_experiment(word, runs) or newest(of_experiment(runs, word)) or (word ~= '' and by_prefix(word, word, runs))
    or by_path(word) or refuse(word, runs)
end

-- The runs of a sweep's cells, in the order of its plan.
local function of_sweep(sweep)
  local found = {}
  for _, cell in ipairs(require('sweep.planning.plan').read(sweep.path).cells) do
    local path = host.realpath(('%s/cells/%s/run'):format(sweep.path, cell.id))
    local experiment, id = (path or ''):match '([^/]*)/([^/]*)$'
    if id then found[#found + 1] = { experiment = experiment, id = id, path = path } end
  end
  if #found == 0 then fail.data("no cell of the sweep '%s' has a run yet", sweep.path) end
  return found
end

---The runs that words mean: an experiment is all of its runs, oldest first, a sweep those of its cells; everything else
---is one run. Each run once.
---@param words string[]
---@return { experiment: string, id: string, path: string }[] runs
function select.all(words)
  local found, seen = {}, {}
  local function add(run)
    local key = host.realpath(run.path)
    if not seen[key] then found[#found + 1] = run end
    seen[key] = true
  end
  for _, word in ipairs(words) do
    local own = not word:find('/') and of_experiment(run_files.list(), word) or {}
    local sweep = #own == 0 and require('sweep.select').find(word) -- loaded when a word is not an experiment
    if sweep then own = of_sweep(sweep) end
    for _, run in ipairs(own) do add(run) end
    if #own == 0 then add(select.one(word)) end
  end
  return found
end

return select
