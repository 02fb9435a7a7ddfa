-- Which runs a process goes on with. A script that calls train.fit several times leaves several run directories of one
-- launch, numbered by their fit: those before the one to go on with are finished and are only loaded.
local fail = require 'fail'
local host = require 'host'
local pretty = require 'pretty'
local data_records = require 'runs.data_records'
local run_files = require 'runs.files'

local resume = {}

-- What may differ from the run that is resumed: how long it trains, what is saved and watched. Everything else decides
-- what is computed.
local FREE = { '^train%.epochs$', '^train%.max_steps$', '^train%.max_time$', '^train%.accept_eta$', '^train%.resume$',
  '^optim%.horizon$', '^checkpoint%.', '^watchdog%.', '^guards%.', '^data%.cache$', '^domains%.cache$' }

local current

---The plan of this process; nil when it resumes nothing.
---@return { launch: string, fit: integer, runs: table<integer, string>, from: string?, allow_source_change: boolean }?
function resume.plan()
  return current
end

local function manifest_of(path)
  local manifest, message = run_files.read_json(path .. '/manifest.json')
  if not manifest then fail.raise(5, "run '%s' cannot be resumed: %s", path, message) end
  return manifest
end

-- All runs of one launch by fit.
local function runs_of(experiment, launch)
  local found = {}
  for _, run in ipairs(run_files.list(experiment)) do
    local manifest = run_files.read_json(run.path .. '/manifest.json')
    if manifest and manifest.launch == launch then found[manifest.fit] = host.realpath(run.path) end
  end
  return found
end

---Plans to go on with a run. Raises (exit 5) when it is finished, or worked on.
---@param path string its folder
---@param options { from: string?, allow_source_change: boolean?, extend: boolean? } from: the checkpoint's name
---@return table manifest
function resume.set(path, options)
  path = host.realpath(path)
  local manifest = manifest_of(path)
  local state = run_files.state(path)
  if (state.state == 'FINISHED' or state.state == 'PRUNED') and not options.extend then
    fail.raise(5, "run '%s' is %s; to train it for longer add train.epochs=N or train.max_steps=N", path, state.state)
  end
  local fit = manifest.fit or 1
  local launch = manifest.launch or manifest.run_id
  local runs = runs_of(manifest.experiment, launch)
  runs[fit] = path
  current = { launch = launch, fit = fit, runs = runs, from = options.from,
    allow_source_change = options.allow_source_change }
  return manifest
end

---Plans to go on with whatever is left of a launch: its newest run, or what comes after that where it is over. For a
---cell of a sweep, whose process may be gone at any moment.
---@param path string folder of the newest run
---@param options { allow_source_change: boolean? }
function resume.set_all(path, options)
  path = host.realpath(path)
  local manifest = run_files.read_json(path .. '/manifest.json')
  if not manifest then return end -- it was claimed and no more: there is nothing to go on with
  local launch, fit = manifest.launch or manifest.run_id, manifest.fit or 1
  local state = run_files.state(path).state
  local over = state == 'FINISHED'
  current = { launch = launch, fit = over and fit + 1 or fit, runs = runs_of(manifest.experiment, launch),
    allow_source_change = options.allow_source_change }
  current.runs[fit] = path
end

local function leaves(value, path, into)
  if type(value) == 'table' and next(value) ~= nil and #value == 0 then
    for key, item in pairs(value) do
      leaves(item, path == '' and tostring(key) or path .. '.' .. tostring(key), into)
    end
  else
    into[path] = type(value) == 'table' and pretty.inline(value) or value
  end
  return into
end

local function is_free(path)
  for _, pattern in ipairs(FREE) do
    if path:find(pattern) then return true end
  end
  return false
end

-- The first path, by name, at which two configs compute something different; nil when there is none. A key that a newer
-- library fills in does not count.
local function difference(then_values, now_values)
  local before, now = leaves(then_values, '', {}), leaves(now_values, '', {})
  local paths = {}
  for path, value in pairs(before) do
    if now[path] ~= value and not is_free(path) then paths[#paths + 1] = path end
  end
  table.sort(paths)
  return paths[1], paths[1] and before[paths[1]], paths[1] and now[paths[1]]
end

---Raises unless the script, its config and its data are those of the run.
---@param path string
---@param now { values: table, source_hash: string, first_batch_sha256: string?, data: table[]? }
function resume.check(path, now)
  local manifest = manifest_of(path)
  local config = run_files.read_json(path .. '/config.json')
  local key, was, is = difference(config and config.values or {}, now.values)
  if key then
    fail.config("resume: '%s' is %s, the run has %s; a resumed run computes what it began with (train.epochs, "
      .. 'train.max_steps, train.max_time, optim.horizon, checkpoint.*, watchdog.* and guards.* may change)', key,
      pretty.inline(is), pretty.inline(was))
  end
  if manifest.source_hash ~= now.source_hash and not current.allow_source_change then
    fail.config("resume: the script or one of its modules is not what the run began with (its own are in '%s/src'); "
      .. 'put them back, or accept with --allow-source-change', path)
  end
  local other = data_records.difference(manifest.data, now.data)
  if other then
    fail.raise(4, "resume: the data is not what the run '%s' began with: %s; put it back, or begin a new run", path,
      other)
  end
  if manifest.first_batch_sha256 and now.first_batch_sha256
    and manifest.first_batch_sha256 ~= now.first_batch_sha256 then
    fail.raise(4, "resume: the data is not what the run '%s' began with: the first batch differs", path)
  end
end

---For train.resume='auto': plans to go on with the newest launch of this script and config whose newest run is
---unfinished and not worked on. Without one, nothing is planned.
---@param experiment string
---@param now { values: table, source_hash: string }
function resume.find(experiment, now)
  local runs = run_files.list(experiment)
  local best
  for i = #runs, 1, -1 do
    local manifest = run_files.read_json(runs[i].path .. '/manifest.json')
    local config = run_files.read_json(runs[i].path .. '/config.json')
    if manifest and config and manifest.source_hash == now.source_hash
      and not difference(config.values, now.values) then
      best = runs[i]
      break
    end
  end
  if not best then return end
  local state = run_files.state(best.path).state
  if state == 'FINISHED' or state == 'PRUNED' or require('lanthorn').run.owner(best.path) then return end
  if #(host.listdir(best.path .. '/checkpoints') or {}) == 0 then return end -- nothing was saved: it begins anew
  resume.set(best.path, {})
end

return resume
