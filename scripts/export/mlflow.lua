-- A run as MLflow keeps runs in files: `mlflow ui --backend-store-uri <out>` shows it.
--   <out>/<experiment id>/meta.yaml
--   <out>/<experiment id>/<run id>/meta.yaml, params/<key>, tags/<key>, artifacts/
--   <out>/<experiment id>/<run id>/metrics/<key>, a line each "timestamp_ms value step"
local config_values = require 'config.values'
local dkjson = require 'dkjson'
local host = require 'host'
local metric_tags = require 'runs.tags'
local output_files = require 'base.output_files'
local pretty = require 'pretty'
local read_file = require 'base.read_file'
local run_files = require 'runs.files'
local run_metrics = require 'runs.metrics'

local export_mlflow = { summary = "MLflow's file store", folder = 'mlruns' }

-- RunStatus of MLflow.
local RUNNING, SCHEDULED, FINISHED, FAILED, KILLED = 1, 2, 3, 4, 5
local STATUS = { QUEUED = SCHEDULED, RUNNING = RUNNING, FINISHED = FINISHED, PRUNED = FINISHED, FAILED = FAILED,
  DIVERGED = FAILED, STALLED = FAILED, INTERRUPTED = KILLED, PREEMPTED = KILLED, TIMEOUT = KILLED, dead = KILLED }
local LOCAL_SOURCE = 4
local LONGEST_TEXT = 6000 -- MLflow's own limit
local BUFFER_LINES = 1000

-- A mapping of scalars: numbers and { literal } bare, text in quotes.
local function yaml(fields)
  local lines = {}
  for _, key in ipairs(pretty.sorted_keys(fields)) do
    local value = fields[key]
    local text = type(value) == 'number' and ('%.0f'):format(value) or type(value) == 'table' and value[1]
      or "'" .. value:gsub("'", "''") .. "'"
    lines[#lines + 1] = ('%s: %s\n'):format(key, text)
  end
  return table.concat(lines)
end

local function uri_of(path)
  return 'file://' .. path:gsub('[^%w%-._~/]', function(c) return ('%%%02X'):format(c:byte()) end)
end

-- MLflow's ids of experiments are numbers. Ours follows from the name, so that every run of it finds the same folder.
local function number_of(name)
  local hash = 0
  for i = 1, #name do hash = (hash * 257 + name:byte(i)) % 899999999999981 end
  return ('%.0f'):format(1e14 + hash)
end

-- The folder of the experiment in a store that may hold others, MLflow's own among them.
local function experiment_id(out, name)
  for _, id in ipairs(host.listdir(out) or {}) do
    local text = read_file(('%s/%s/meta.yaml'):format(out, id)) or ''
    local found = ('\n' .. text):match "\nname: *['\"]?([^'\"\n]*)"
    if found == name then return id end
  end
  return number_of(name)
end

local function milliseconds(time)
  local seconds = run_files.seconds(time)
  return seconds and math.floor(seconds * 1e3 + 0.5)
end

local function write_keys(folder, values)
  for key, value in pairs(values) do
    local text = type(value) == 'table' and dkjson.encode(value) or type(value) == 'number' and pretty.number(value)
      or tostring(value)
    output_files.write_text(('%s/%s'):format(folder, key), text:sub(1, LONGEST_TEXT))
  end
end

-- One file per metric. Lines wait in memory until there are some, and files are open only while they are written:
-- there may be more metrics than files a process may hold.
local function write_metrics(run, folder)
  local waiting, rows = {}, 0
  local function flush(tag)
    local path = ('%s/%s'):format(folder, tag)
    output_files.make_folder(path:match '^(.*)/')
    output_files.append(path, table.concat(waiting[tag]))
    waiting[tag] = nil
  end
  for line in run_metrics.lines(run.path) do
    for tag, value in pairs(metric_tags.scalars(line)) do
      waiting[tag] = waiting[tag] or {}
      table.insert(waiting[tag], ('%.0f %s %.0f\n'):format((line.t or 0) * 1e3, pretty.number(value), line.step or 0))
      rows = rows + 1
      if #waiting[tag] >= BUFFER_LINES then flush(tag) end
    end
  end
  for _, tag in ipairs(pretty.sorted_keys(waiting)) do flush(tag) end
  return rows
end

local function tags_of(run, manifest, state)
  local git = type(manifest.git) == 'table' and manifest.git or {}
  local tags = type(manifest.tags) == 'table' and table.concat(manifest.tags, ',') or ''
  return { ['mlflow.runName'] = manifest.name or run.id, ['mlflow.source.type'] = 'LOCAL',
    ['mlflow.source.name'] = type(manifest.argv) == 'table' and manifest.argv[1] or nil,
    ['mlflow.source.git.commit'] = git.commit, ['lanthorn.state'] = state,
    ['lanthorn.config_hash'] = manifest.config_hash, ['lanthorn.source_hash'] = manifest.source_hash,
    ['lanthorn.tags'] = tags ~= '' and tags or nil, ['lanthorn.device'] = manifest.device }
end

local function write_experiment(out, id, name, time)
  local path = ('%s/%s/meta.yaml'):format(out, id)
  if host.stat(path) then return end
  output_files.write_text(path, yaml { artifact_location = uri_of(host.realpath(('%s/%s'):format(out, id))),
    creation_time = time, experiment_id = id, last_update_time = time, lifecycle_stage = 'active', name = name })
end

---Writes a run into the store at `out`, which may hold others. Returns what was written.
---@param run { path: string, id: string, experiment: string }
---@param out string
---@param force boolean?
---@return { path: string, rows: integer }[]
function export_mlflow.write(run, out, force)
  local manifest = run_files.document(run.path, 'manifest.json') or {}
  local config = run_files.document(run.path, 'config.json') or {}
  local ended = run_files.document(run.path, 'exit.json') or {}
  local state = run_files.state(run.path)
  local begun = milliseconds(manifest.created or state.started) or 0
  local id = experiment_id(out, run.experiment)
  local final = ('%s/%s/%s'):format(out, id, run.id)
  local folder = final .. '.tmp' -- renamed at the end: MLflow sees all of the run or nothing
  output_files.check_free(final, force)
  run_metrics.lines(run.path) -- raises before anything is made
  output_files.remove(folder)
  for _, name in ipairs { 'metrics', 'params', 'tags', 'artifacts' } do
    output_files.make_folder(('%s/%s'):format(folder, name))
  end
  write_experiment(out, id, run.experiment, begun)
  write_keys(folder .. '/params', config_values.flatten(config.values))
  write_keys(folder .. '/tags', tags_of(run, manifest, state.state))
  local rows = write_metrics(run, folder .. '/metrics')
  output_files.write_text(folder .. '/meta.yaml',
    yaml { artifact_uri = uri_of(host.realpath(folder):gsub('%.tmp$', '') .. '/artifacts'), end_time = milliseconds(
      ended.ended) or { 'null' }, entry_point_name = '', experiment_id = id, lifecycle_stage = 'active',
    run_id = run.id, run_name = manifest.name or run.id, run_uuid = run.id, source_name = '',
      source_type = LOCAL_SOURCE,
    source_version = '', start_time = begun, status = STATUS[state.state] or RUNNING, tags = { '[]' },
    user_id = host.getenv 'USER' or '' })
  output_files.remove(final)
  output_files.rename(folder, final)
  return { { path = final, rows = rows } }
end

return export_mlflow
