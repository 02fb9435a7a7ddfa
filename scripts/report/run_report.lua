-- What the page of one run says: how it ended, its curves, what it wrote, and all that is needed to do it again.
local config_values = require 'config.values'
local duration = require 'base.duration'
local host = require 'host'
local pretty = require 'pretty'
local run_charts = require 'report.run_charts'
local run_files = require 'runs.files'
local run_metrics = require 'runs.metrics'
local run_summary = require 'runs.summary'
local run_view = require 'runs.view'

local run_report = {}

local SAMPLES = 20 -- of the newest

local function number(value, form) return value and (form or '%.4f'):format(value) or 'NA' end

---The line that says how a run ended.
---@param full table of runs.summary.full
---@return string
function run_report.verdict(full)
  local parts = { run_view.progress(full) }
  if full.best_val then
    parts[#parts + 1] = ('best val loss %.4f at update %d'):format(full.best_val, full.best_step)
  end
  if full.wall_s then parts[#parts + 1] = duration.short(full.wall_s) end
  if full.reason and full.reason ~= '' then parts[#parts + 1] = full.reason end
  local guards = run_summary.guard_ids(full.guards)
  parts[#parts + 1] = guards == '' and 'no guard fired' or 'guards: ' .. guards
  return table.concat(parts, ' · ')
end

local function samples_of(path)
  local found = {}
  if not host.stat(path .. '/metrics.jsonl') then return found end
  for line in run_metrics.lines(path, { event = true }) do
    if line.event == 'sample' then
      found[#found + 1] = { step = line.step, prompt = line.prompt, text = line.text }
      if #found > SAMPLES then table.remove(found, 1) end
    end
  end
  return found
end

local function config_rows(full)
  local values, rows = config_values.flatten(full.config), {}
  local origin = type(full.origin) == 'table' and full.origin or {}
  for i, path in ipairs(pretty.sorted_keys(values)) do
    rows[i] = { path, pretty.inline(values[path]), origin[path] or 'default' }
  end
  return rows
end

-- Names and values of a table in a table, one level.
local function pairs_of(value, prefix)
  local rows = {}
  for _, name in ipairs(pretty.sorted_keys(type(value) == 'table' and value or {})) do
    local own = value[name]
    rows[#rows + 1] = { (prefix or '') .. name, type(own) == 'table' and pretty.inline(own) or tostring(own) }
  end
  return rows
end

local function facts(full)
  local rows = { { 'command', table.concat(full.argv or {}, ' ') }, { 'seed', tostring(full.seed) },
    { 'device', tostring(full.device) }, { 'started', run_files.time_text(full.started) },
    { 'peak memory of the process', full.peak_rss_mb and ('%.0f MB'):format(full.peak_rss_mb) or 'NA' },
    { 'config', tostring(full.config_hash) }, { 'sources', tostring(full.source_hash) } }
  for _, list in ipairs { pairs_of(full.git, 'git '), pairs_of(full.machine, 'machine '),
    pairs_of(full.versions, 'version of ') } do
    for _, row in ipairs(list) do rows[#rows + 1] = row end
  end
  return rows
end

local function data_rows(full)
  local rows = {}
  for i, data in ipairs(type(full.data) == 'table' and full.data or {}) do
    rows[i] = { tostring(data.name), data.bytes and pretty.count(data.bytes) or '', tostring(data.sha256) }
  end
  return rows
end

local function epoch_rows(full)
  local rows = {}
  for i, epoch in ipairs(full.epochs) do
    rows[i] = { ('%d'):format(epoch.epoch), ('%d'):format(epoch.step), number(epoch.train_loss),
      number(epoch.val_loss), number(epoch.tscore) }
  end
  return rows
end

local function guard_rows(full)
  local rows = {}
  for i, guard in ipairs(full.guards) do
    rows[i] = { ('%s %s'):format(tostring(guard.id), guard.name or ''), tostring(guard.level), tostring(guard.message) }
  end
  return rows
end

local function attempt_rows(full)
  local rows = {}
  for i, attempt in ipairs(full.attempts) do
    rows[i] = { tostring(attempt.attempt), tostring(attempt.state), run_files.time_text(attempt.started),
      attempt.step and ('%d'):format(attempt.step) or '', tostring(attempt.reason or '') }
  end
  return rows
end

local function sources_of(path)
  local found = {}
  for _, name in ipairs(host.listdir(path .. '/src') or {}) do
    local file = name:find '%.lua$' and io.open(path .. '/src/' .. name, 'rb')
    if file then
      found[#found + 1] = { name = name, text = file:read '*a' }
      file:close()
    end
  end
  return found
end

---All that the page of a run says.
---@param run { path: string, id: string, experiment: string }
---@return table
function run_report.of(run)
  local full = run_summary.full(run)
  return { title = full.experiment .. '/' .. full.run_id, state = full.state, good = full.state == 'FINISHED',
    verdict = run_report.verdict(full),
    charts = host.stat(run.path .. '/metrics.jsonl') and run_charts.of(run.path) or {},
    samples = samples_of(run.path), sources = sources_of(run.path),
    tables = {
      { 'Guards', { 'guard', 'level', 'what it said' }, guard_rows(full) },
      { 'Epochs', { 'epoch', 'updates', 'train loss', 'val loss', 'T-Score' }, epoch_rows(full) },
      { 'Attempts', { 'attempt', 'state', 'started', 'updates', 'why it ended' }, attempt_rows(full) },
      { 'Data', { 'name', 'bytes', 'checksum' }, data_rows(full) },
      { 'Config', { 'option', 'value', 'from' }, config_rows(full) },
      { 'Machine and versions', { 'what', 'value' }, facts(full) },
    } }
end

return run_report
