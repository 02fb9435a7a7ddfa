-- Run directories as text: the lines of `runner ls` and `runner show`. Unknown numbers are NA, never 0.
local columns = require 'base.columns'
local config_values = require 'config.values'
local duration = require 'base.duration'
local guards = require 'guards.registry'
local pretty = require 'pretty'
local run_files = require 'runs.files'
local run_summary = require 'runs.summary'
local statistics = require 'statistics'

local view = {}

local LABEL = 13   -- columns of the labels
local CURVE = 32   -- columns of the curve
local EPOCHS = 40  -- rows of the table of epochs at most
local ENDED = { FINISHED = 'all work was done', PRUNED = 'it was given up for better ones' }

local function number(value, form)
  return value and (form or '%.4f'):format(value) or 'NA'
end

---Bytes as "512 B", "86.1 kB", "4.2 MB" or "1.3 GB", powers of ten.
---@param bytes number?
---@return string
function view.bytes(bytes)
  if not bytes then return 'NA' end
  if bytes < 1e3 then return ('%d B'):format(bytes) end
  if bytes < 1e6 then return ('%.1f kB'):format(bytes / 1e3) end
  if bytes < 1e9 then return ('%.1f MB'):format(bytes / 1e6) end
  return ('%.1f GB'):format(bytes / 1e9)
end

---Seconds as one unit: "12s", "5m", "2h", "3d".
---@param seconds number
---@return string
function view.age(seconds)
  if seconds < 60 then return ('%ds'):format(seconds) end
  if seconds < 3600 then return ('%dm'):format(seconds / 60) end
  if seconds < 86400 then return ('%dh'):format(seconds / 3600) end
  return ('%dd'):format(seconds / 86400)
end

---"1000 steps" for a run that did all it planned, "412 of 1000 steps" for any other.
---@param row { state: string, step: integer?, steps: integer? }
---@return string
function view.progress(row)
  if row.state == 'FINISHED' and row.step then return ('%d steps'):format(row.step) end
  return row.step and ('%d of %s steps'):format(row.step, number(row.steps, '%d')) or 'NA'
end

---The line of a run in a list; `width` columns for its name.
---@param row table of runs.summary.brief
---@param width integer
---@return string
function view.line(row, width)
  local badges = run_summary.guard_ids(row.guards)
  if (row.interventions or 0) > 0 then badges = (badges .. ' by hand'):gsub('^ ', '') end
  return (('%s  %-11s  %-18s  best val %-8s  %8s  %s%s'):format(
    columns.pad(row.experiment .. '/' .. row.run_id, width), row.state, view.progress(row), number(row.best_val),
    row.age_s and view.age(row.age_s) .. ' ago' or 'NA', run_files.time_text(row.started),
    badges ~= '' and '  ' .. badges or ''))
end

-- Collects lines under labels.
local function sheet()
  local lines = {}
  local function add(label, text)
    if text then lines[#lines + 1] = ('%-' .. LABEL .. 's%s'):format(label, text):gsub('%s+$', '') end
  end
  local function add_list(label, texts)
    for i, text in ipairs(texts) do add(i == 1 and label or '', text) end
  end
  return lines, add, add_list
end

local function why(run)
  if run.ended then
    local reason = run.reason and run.reason ~= '' and run.reason or ENDED[run.state] or 'no reason was recorded'
    return ('%s (exit code %s%s)'):format(reason, number(run.code, '%d'),
      run.signal and (', signal %d'):format(run.signal) or '')
  end
  local heard = run.heartbeat and ('; last sign of life %s'):format(run_files.time_text(run.heartbeat)) or ''
  if run.state == 'dead' then
    return ('its process ended without recording why%s, in phase %s'):format(heard, run.phase or 'NA')
  end
  return ('not ended: phase %s%s%s'):format(run.phase or 'NA', run.message and ', ' .. run.message or '', heard)
end

local function progress(run)
  local eta = type(run.eta_s) == 'table' and not run.ended and run.state == 'RUNNING' and #run.eta_s == 3
    and ('; about %s left (%s-%s)'):format(duration.short(run.eta_s[2]), duration.short(run.eta_s[1]),
      duration.short(run.eta_s[3]))
  return ('%s of %s steps, epoch %s%s'):format(number(run.step, '%d'), number(run.steps, '%d'),
    number(run.epoch, '%.2f'), eta or '')
end

local function config_lines(run, all)
  local values, lines, hidden, width = config_values.flatten(run.config), {}, 0, 0
  local origin = type(run.origin) == 'table' and run.origin or {}
  for _, path in ipairs(pretty.sorted_keys(values)) do
    local from = origin[path] or 'default'
    if all or from ~= 'default' then
      lines[#lines + 1] = { ('%s = %s'):format(path, pretty.inline(values[path])), from }
      width = math.max(width, math.min(#lines[#lines][1], 60))
    else
      hidden = hidden + 1
    end
  end
  for i, line in ipairs(lines) do lines[i] = ('%-' .. width .. 's  (%s)'):format(line[1], line[2]) end
  if hidden > 0 then lines[#lines + 1] = ('defaults: %d more; --all shows them'):format(hidden) end
  return lines
end

local function metric_lines(run)
  local lines, is_text = {}, type(run.data) == 'table' and #run.data > 0
  for _, name in ipairs(pretty.sorted_keys(run.metrics)) do
    local metric = run.metrics[name]
    local best = metric.best
      and ('  best %s at step %s'):format(number(metric.best), number(metric.best_step, '%d')) or ''
    local loss = metric.best or metric.last
    -- A loss over text is in nats a character.
    local perplexity = is_text and loss and name:find '_loss$'
      and ('  perplexity %s'):format((statistics.perplexity(loss))) or ''
    lines[#lines + 1] = ('%-12s  last %s%s%s'):format(name, number(metric.last), best, perplexity)
  end
  return lines
end

local function data_lines(run)
  local lines = {}
  for i, data in ipairs(type(run.data) == 'table' and run.data or {}) do
    local unknown, note = data.unknown_pct, ''
    if type(unknown) == 'table' and type(unknown.train) == 'number' and type(unknown.val) == 'number' then
      note = ('  unknown words %.1f %% of train, %.1f %% of val%s'):format(unknown.train, unknown.val,
        math.max(unknown.train, unknown.val) > 10 and ': perplexities are not comparable' or '')
    end
    lines[i] = ('%s  %s bytes  %s%s'):format(data.name or 'NA', number(data.bytes, '%d'),
      tostring(data.sha256):sub(1, 19), note)
  end
  return lines
end

local function machine_line(machine)
  if type(machine) ~= 'table' then return nil end
  return ('%s  %s threads of %s cores  %s  %s  load %s'):format(machine.cpu or 'NA', number(machine.threads, '%d'),
    number(machine.cores, '%d'), type(machine.flags) == 'table' and table.concat(machine.flags, ' ') or '',
    machine.host or 'NA', number(machine.load_average, '%.2f'))
end

local function version_line(versions)
  if type(versions) ~= 'table' then return nil end
  local parts = {}
  for _, name in ipairs(pretty.sorted_keys(versions)) do
    parts[#parts + 1] = ('%s %s'):format(name, (tostring(versions[name]):gsub('^LuaJIT ', ''):match '%S+ ?%S*'))
  end
  return table.concat(parts, ', ')
end

-- Rows of at most EPOCHS epochs: evenly chosen, with the last and the best.
local function chosen_epochs(epochs)
  local best
  for i, row in ipairs(epochs) do
    local value = row.val_loss or row.train_loss
    if value and (not best or value < (epochs[best].val_loss or epochs[best].train_loss)) then best = i end
  end
  local every, chosen = math.ceil(#epochs / EPOCHS), {}
  for i, row in ipairs(epochs) do
    if i % every == 0 or i == #epochs or i == best then chosen[#chosen + 1] = row end
  end
  return chosen
end

local function range_of(epochs)
  local low, high = math.huge, -math.huge
  for _, row in ipairs(epochs) do
    for _, value in ipairs { row.train_loss or row.val_loss, row.val_loss or row.train_loss } do
      if math.abs(value) < math.huge then low, high = math.min(low, value), math.max(high, value) end
    end
  end
  return low, high
end

-- Epoch, train, val and T, and where train (o) and val (*) lie between the lowest and the highest value.
local function epoch_lines(run)
  if #run.epochs == 0 then return {} end
  local low, high = range_of(run.epochs)
  local function place(marks, value, mark)
    if not value or value ~= value or high <= low then return end
    marks[math.floor((math.min(value, high) - low) / (high - low) * (CURVE - 1) + 1.5)] = mark
  end
  local lines = { ('%5s  %8s  %8s  %8s  %6s  %s'):format('epoch', 'step', 'train o', 'val *', 'T',
    high > low and ('%s ... %s'):format(number(low), number(high)) or '') }
  for _, row in ipairs(chosen_epochs(run.epochs)) do
    local marks = {}
    for i = 1, CURVE do marks[i] = ' ' end
    place(marks, row.train_loss, 'o')
    place(marks, row.val_loss, '*')
    lines[#lines + 1] = ('%5s  %8s  %8s  %8s  %6s  |%s|'):format(number(row.epoch, '%g'), number(row.step, '%d'),
      number(row.train_loss), number(row.val_loss), number(row.tscore), table.concat(marks))
  end
  return lines
end

local function listed(rows, form)
  local lines = {}
  for i, row in ipairs(rows) do lines[i] = form(row) end
  return lines
end

local function guard_line(guard)
  local known, row = pcall(guards.find, guard.id)
  return ('%s: %s'):format(guard.level or 'NA',
    guard.message or known and ('%s %s'):format(row.id, row.name) or guard.id or 'NA')
end

-- "update 154  root: fit.lr = 1e-3  (optim.lr 0.002 -> 0.001)"
local function intervention_line(one)
  return ('update %s  %s: %s  (%s)'):format(number(one.step, '%d'), one.who or 'NA',
    (tostring(one.text):gsub('\n', ' ')), one.change or 'NA')
end

---All about a run, for people.
---@param run table of run_summary.full
---@param all boolean? every value of the config, defaults too
---@return string[]
function view.full(run, all)
  local lines, add, add_list = sheet()
  add('name', run.name)
  add('tags', type(run.tags) == 'table' and #run.tags > 0 and table.concat(run.tags, ', ') or nil)
  add('command', type(run.argv) == 'table' and #run.argv > 0 and table.concat(run.argv, ' ') or nil)
  add('sweep', type(run.sweep) == 'table' and ('%s, cell %s'):format(run.sweep.name, run.sweep.cell) or nil)
  add('ended', run.ended and ('%s after %s'):format(run_files.time_text(run.ended),
    run.wall_s and duration.short(run.wall_s) or 'NA'))
  add('why', why(run))
  add('progress', progress(run))
  add_list('guards', #run.guards == 0 and { 'none fired' } or listed(run.guards, guard_line))
  add_list('by hand', listed(run.interventions, intervention_line))
  local metrics = metric_lines(run)
  add_list('metrics', #metrics > 0 and metrics or { 'NA' })
  add_list('epochs', epoch_lines(run))
  add_list('config', config_lines(run, all))
  add('seed', ('%s  device %s'):format(number(run.seed, '%d'), run.device or 'NA'))
  add_list('data', data_lines(run))
  add('machine', machine_line(run.machine))
  add('versions', version_line(run.versions))
  add('source', run.source_hash and ('%s%s'):format(run.source_hash:sub(1, 19), type(run.git) == 'table'
    and ('  git %s%s'):format(tostring(run.git.commit):sub(1, 12), run.git.dirty and ', with changes' or '') or ''))
  add('memory', run.ended and (run.peak_rss_mb and ('%.0f MB at most'):format(run.peak_rss_mb) or 'NA') or nil)
  add_list('attempts', #run.attempts > 1 and listed(run.attempts, function(a)
    return ('%d  %s  from %s  to step %s%s'):format(a.attempt, a.state or 'NA', run_files.time_text(a.started),
      number(a.step, '%d'), a.reason and a.reason ~= '' and '  ' .. a.reason or '')
  end) or {})
  add_list('checkpoints', listed(run.checkpoints, function(c)
    return ('%s  %s  %s%s'):format(c.name, view.bytes(c.bytes), run_files.time_text(c.created),
      c.links and ('  (%s)'):format(c.links) or '')
  end))
  add_list('files', listed(run.files, function(file) return ('%-20s %s'):format(file.name, view.bytes(file.bytes)) end))
  return lines
end

return view
