-- Run directories as files: where they are and what state they are in. Reads status.json and exit.json only, never the
-- trainer's memory, so it works for runs of other processes and machines.
local dkjson = require 'dkjson'
local fail = require 'fail'
local host = require 'host'
local read_file = require 'base.read_file'

local files = {}

local FORMAT = 1 -- of the run directory, as engine/run/README.md has it
local HEARTBEAT_LIMIT_S = 120

---The folder of all results: $RUNNER_RESULTS_DIR, else results in the working directory.
---@return string
function files.root()
  return host.getenv('RUNNER_RESULTS_DIR') or 'results'
end

-- Bytes that are not UTF-8 stand in config.json, manifest.json and state.json as a NUL and two hex digits.
local function decode_bytes(value)
  if type(value) == 'string' then
    return (value:gsub('%z(%x%x)', function(digits) return string.char(tonumber(digits, 16)) end))
  end
  if type(value) ~= 'table' then return value end
  local decoded = setmetatable({}, getmetatable(value)) -- which tells an empty array from an object
  for key, item in pairs(value) do decoded[decode_bytes(key)] = decode_bytes(item) end
  return decoded
end

---Reads a JSON file of a run directory.
---@param path string
---@return any? value, string? message
function files.read_json(path)
  local text, message = read_file(path)
  if not text then return nil, message end
  local value, _, problem = dkjson.decode(text, 1, nil)
  if problem then return nil, ('%s: %s'):format(path, problem) end
  return text:find('\\u0000', 1, true) and decode_bytes(value) or value
end

---A JSON file of a run directory; nil when it is not there or is torn. Raises (exit 4) when its format is newer than
---this runner's.
---@param folder string
---@param name string
---@return table?
function files.document(folder, name)
  local value = files.read_json(folder .. '/' .. name)
  if type(value) ~= 'table' then return nil end
  if type(value.format) == 'number' and value.format > FORMAT then
    fail.data("'%s/%s': format %d is newer than %d, the newest this runner knows; read it with a newer runner",
      folder, name, value.format, FORMAT)
  end
  return value
end

local function boot_id()
  local text = read_file '/proc/sys/kernel/random/boot_id'
  return text and text:match '^[^\n]*'
end

---Seconds since 1970 of a UTC time such as 2026-11-21T10:15:00.123Z.
---@param text string
---@return number?
function files.seconds(text)
  return host.utc_seconds(tostring(text))
end

---Whether a process is a runner: one that was replaced by another program (exec) keeps its number. Nil when it cannot
---be told.
---@param pid integer
---@return boolean?
function files.is_runner(pid)
  local function name(link)
    local path = host.realpath(link)
    return path and path:gsub(' %(deleted%)$', ''):match '[^/]*$'
  end
  local program = name(('/proc/%d/exe'):format(pid))
  return program and (program == 'runner' or program == name '/proc/self/exe')
end

-- A run that says RUNNING is dead when its process is gone or became another program, or when it has not been heard
-- of for two minutes.
local function is_dead(status)
  if status.host == host.hostname() and status.boot_id == boot_id() and status.pid then
    if not host.stat(('/proc/%d'):format(status.pid)) or files.is_runner(status.pid) == false then return true end
  end
  local beat = files.seconds(status.heartbeat)
  return beat ~= nil and host.unix_time() - beat > HEARTBEAT_LIMIT_S
end

---State of one run directory; `started` is the first attempt's. Unknown numbers are nil.
---@param path string
---@return { path: string, state: string, step: integer?, steps: integer?, loss: number?, started: string?,
---code: integer?, interventions: integer? } interventions: changes made by hand while it trained
function files.state(path)
  local ended = files.read_json(path .. '/exit.json')
  local status = files.read_json(path .. '/status.json') or {}
  local state = ended and ended.state or status.state or 'QUEUED'
  if not ended and state == 'RUNNING' and is_dead(status) then state = 'dead' end
  local source, manifest = ended or status, files.read_json(path .. '/manifest.json') or {}
  return { path = path, state = state, step = source.step, steps = source.steps, loss = status.loss,
    started = manifest.created or source.started, code = ended and ended.code, interventions = status.interventions }
end

---A run in one line, for the head of every answer about it: which, in what state, since when (guard G32).
---@param run { experiment: string, id: string, path: string }
---@return string
function files.title(run)
  local state = files.state(run.path)
  return ('%s/%s  %s  started %s'):format(run.experiment, run.id, state.state, files.time_text(state.started))
end

---"2026-11-21 10:15:00 UTC" for a time as files have it; "NA" for none.
---@param time string?
---@return string
function files.time_text(time)
  local date, clock = tostring(time):match('^(%d+-%d+-%d+)T(%d+:%d+:%d+)')
  return date and ('%s %s UTC'):format(date, clock) or 'NA'
end

---Whether a name is a run id: <YYYYMMDD-HHMMSS>-<6 hex>.
---@param name string
---@return boolean
function files.is_id(name)
  return name:match('^%d%d%d%d%d%d%d%d%-%d%d%d%d%d%d%-%x%x%x%x%x%x$') ~= nil
end

---All run directories below the root (or of one experiment), oldest first within an experiment.
---@param experiment? string
---@return { experiment: string, id: string, path: string }[]
function files.list(experiment)
  local found, root = {}, files.root()
  for _, name in ipairs(experiment and { experiment } or host.listdir(root) or {}) do
    for _, id in ipairs(host.listdir(root .. '/' .. name) or {}) do
      if files.is_id(id) then
        found[#found + 1] = { experiment = name, id = id, path = ('%s/%s/%s'):format(root, name, id) }
      end
    end
  end
  return found
end

return files
