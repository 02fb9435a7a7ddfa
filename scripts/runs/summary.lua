-- What a run directory says, in tables that commands print or give as JSON. What is unknown is nil.
local host = require 'host'
local pretty = require 'pretty'
local run_files = require 'runs.files'
local run_metrics = require 'runs.metrics'

local run_summary = {}

local VALIDATION = 'val'

-- Guards that fired or were off: those that exit.json files list, then those of a run that has none yet. Each once.
local function guards_of(exits, lines)
  local guards, seen = {}, {}
  local function add(guard)
    local key = ('%s %s'):format(tostring(guard.id), tostring(guard.message))
    if not seen[key] then
      guards[#guards + 1] = { id = guard.id, name = guard.name, level = guard.level, value = guard.value,
        limit = guard.limit, message = guard.message, no_claim = guard.no_claim }
    end
    seen[key] = true
  end
  for _, exit in ipairs(exits) do
    for _, guard in ipairs(type(exit.guards) == 'table' and exit.guards or {}) do add(guard) end
  end
  for line in lines do
    if line.event == 'guard' then add(line) end
  end
  return guards
end

---exit.json of every attempt that ended, in order: earlier ones are exit.<attempt>.json.
---@param run { path: string }
---@return table[]
function run_summary.exits(run)
  local found = {}
  for _, name in ipairs(host.listdir(run.path) or {}) do
    local attempt = name == 'exit.json' and math.huge or tonumber(name:match '^exit%.(%d+)%.json$')
    local exit = attempt and run_files.document(run.path, name)
    if exit then found[#found + 1] = { order = attempt, exit = exit } end
  end
  table.sort(found, function(a, b) return a.order < b.order end)
  for i, entry in ipairs(found) do found[i] = entry.exit end
  return found
end

-- The lowest val loss and its step, from the summary of the last attempt or, where that has none, from the eval lines.
local function best_of(exit, lines)
  local summary = exit and type(exit.summary) == 'table' and exit.summary.val_loss
  if type(summary) == 'table' and summary.best then return summary.best, summary.best_step end
  local best, step
  for line in lines do
    if line.kind == 'eval' and line.split == VALIDATION and line.loss and line.loss == line.loss
      and (not best or line.loss < best) then
      best, step = line.loss, line.step
    end
  end
  return best, step
end

-- None for a run that did not get as far as its first line.
local function lines_of(run, kinds)
  return host.stat(run.path .. '/metrics.jsonl') and run_metrics.lines(run.path, kinds) or function() end
end

-- What f returns, or nothing when a file is damaged: a list must show the other runs.
local function known(f, ...)
  local ok, value, more = pcall(f, ...)
  if ok then return value, more end
  return nil
end

---The guards that fired in a run, or were switched off in it. Raises (exit 4) when a file is damaged.
---@param run { path: string }
---@return { id: string, name: string?, level: string?, message: string?, no_claim: boolean? }[]
function run_summary.guards(run)
  local exits = run_summary.exits(run)
  local is_over = #exits > 0 and host.stat(run.path .. '/exit.json')
  return guards_of(exits, is_over and function() end or lines_of(run, { event = true }))
end

---What a list of runs shows of each.
---@param run { path: string, id: string, experiment: string }
---@return { run_id: string, experiment: string, path: string, state: string, step: integer?, steps: integer?,
---best_val: number?, best_step: integer?, loss: number?, started: string?, age_s: number?, attempt: integer?,
---code: integer?, guards: table[] }
function run_summary.brief(run)
  local row = run_files.state(run.path)
  row.run_id, row.experiment, row.path = run.id, run.experiment, run.path
  local exit = run_files.read_json(run.path .. '/exit.json')
  local status = run_files.read_json(run.path .. '/status.json') or {}
  row.attempt = status.attempt
  local seconds = run_files.seconds(row.started)
  row.age_s = seconds and math.max(0, host.unix_time() - seconds)
  row.guards = known(run_summary.guards, run) or {}
  row.best_val, row.best_step = known(function() return best_of(exit, lines_of(run, { eval = true })) end)
  return row
end

-- What people changed in a run while it trained.
local function interventions_of(run)
  local found = {}
  for line in lines_of(run, { event = true }) do
    if line.event == 'intervention' then
      found[#found + 1] = { step = line.step, who = line.who, by = line.by, text = line.text, change = line.change }
    end
  end
  return found
end

-- Values by epoch.
local function epochs_of(run)
  local epochs = {}
  for line in lines_of(run, { event = true }) do
    if line.event == 'epoch' then
      epochs[#epochs + 1] = { epoch = line.epoch, step = line.step, train_loss = line.train_loss,
        val_loss = line.val_loss, tscore = line.tscore_mean }
    end
  end
  return epochs
end

local function folder_bytes(path)
  local bytes = 0
  for _, name in ipairs(host.listdir(path) or {}) do
    local info = host.stat(path .. '/' .. name, true)
    if info and info.type == 'dir' then bytes = bytes + folder_bytes(path .. '/' .. name) end
    if info and info.type == 'file' then bytes = bytes + info.size end
  end
  return bytes
end

-- Files and folders of the run with their sizes; links and what begins with a dot stay out.
local function files_of(run)
  local files = {}
  for _, name in ipairs(host.listdir(run.path) or {}) do
    local path = run.path .. '/' .. name
    local info = name:sub(1, 1) ~= '.' and host.stat(path, true)
    if info and info.type ~= 'link' then
      local is_folder = info.type == 'dir'
      files[#files + 1] = { name = is_folder and name .. '/' or name,
        bytes = is_folder and folder_bytes(path) or info.size }
    end
  end
  return files
end

local function checkpoints_of(run)
  local folder, found, links = run.path .. '/checkpoints', {}, {}
  for _, link in ipairs { 'latest', 'best' } do
    local target = host.realpath(('%s/%s'):format(folder, link))
    local name = target and target:match '[^/]*$'
    if name then links[name] = links[name] and ('%s, %s'):format(links[name], link) or link end
  end
  for _, name in ipairs(host.listdir(folder) or {}) do
    if name:find '^step%-%d+$' then
      local manifest = run_files.read_json(('%s/%s/manifest.json'):format(folder, name)) or {}
      found[#found + 1] = { name = name, step = tonumber(name:match '%d+'), created = manifest.created,
        links = links[name], bytes = folder_bytes(('%s/%s'):format(folder, name)) }
    end
  end
  return found
end

local function attempts_of(run, exits, status)
  local attempts = {}
  for i, exit in ipairs(exits) do
    attempts[i] = { attempt = exit.attempt or i, state = exit.state, code = exit.code, reason = exit.reason,
      started = exit.started, ended = exit.ended, step = exit.step }
  end
  local current = status.attempt
  if current and (#attempts == 0 or attempts[#attempts].attempt < current) then
    attempts[#attempts + 1] = { attempt = current, state = run_files.state(run.path).state, started = status.started,
      step = status.step }
  end
  return attempts
end

-- Last and best of each metric of the summary; for a run without one, what its epochs say.
local function metrics_of(exit, epochs)
  if exit and type(exit.summary) == 'table' and next(exit.summary) then return exit.summary end
  local made = {}
  for _, epoch in ipairs(epochs) do
    for _, name in ipairs { 'train_loss', 'val_loss', 'tscore' } do
      local value = epoch[name]
      local metric = made[name] or {}
      if value then
        metric.last = value
        if name == 'val_loss' and (not metric.best or value < metric.best) then
          metric.best, metric.best_step = value, epoch.step
        end
        made[name] = metric
      end
    end
  end
  return made
end

---All that `runner show` tells about a run. Raises (exit 4) when it is of a newer format or its metrics are damaged.
---@param run { path: string, id: string, experiment: string }
---@return table
function run_summary.full(run)
  local manifest = run_files.document(run.path, 'manifest.json') or {}
  local config = run_files.document(run.path, 'config.json') or {}
  local status = run_files.document(run.path, 'status.json') or {}
  local exits = run_summary.exits(run)
  local exit = run_files.document(run.path, 'exit.json')
  local epochs = epochs_of(run)
  local made = run_summary.brief(run)
  made.guards = guards_of(exits, lines_of(run, { event = true }))
  made.interventions = interventions_of(run)
  made.epoch, made.phase, made.message, made.heartbeat = status.epoch, status.phase, status.message, status.heartbeat
  made.eta_s = status.eta_s
  if exit then
    for _, key in ipairs { 'reason', 'signal', 'ended', 'wall_s', 'cpu_s', 'peak_rss_mb' } do made[key] = exit[key] end
  end
  for _, key in ipairs { 'name', 'tags', 'seed', 'device', 'argv', 'git', 'parent', 'sweep', 'data', 'machine',
    'versions', 'config_hash', 'source_hash', 'first_batch_sha256' } do
    made[key] = manifest[key]
  end
  made.config, made.origin = config.values, config.origin
  made.metrics = metrics_of(exit, epochs)
  made.attempts = attempts_of(run, exits, status)
  made.checkpoints, made.files, made.epochs = checkpoints_of(run), files_of(run), epochs
  return made
end

---Names of the guards that fired, each once: "G05 G23", "G05=off" for one that was switched off; "" for none.
---@param guards table[]
---@return string
function run_summary.guard_ids(guards)
  local ids = {}
  for _, guard in ipairs(guards) do ids[tostring(guard.id) .. (guard.level == 'off' and '=off' or '')] = true end
  return table.concat(pretty.sorted_keys(ids), ' ')
end

return run_summary
