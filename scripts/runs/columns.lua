-- What a line of metrics.jsonl holds, for those who write it and those who read it (guards G28, G29): the columns of
-- each kind, which of them every line has, and how further names must end.
local fail = require 'fail'
local guards = require 'guards.registry'
local nearest = require 'nearest'

local metrics_schema = {}

-- Columns by kind; events by their name. true: every line has it, be it null.
local COLUMNS = {
  train = { step = true, loss = true, t = false, epoch = false, lr = false, grad_norm = false, tokens_backprop = false,
    tokens_forward = false, updates_skipped = false, step_ms = false, micro_ms = false, wall_ms = false,
    phase_ms = false, micro_batches = false, term = false, tscore = false, tscore_corrected = false,
    tscore_status = false, tscore_s = false, tscore_q = false, tscore_n = false, tscore_sample_sq = false,
    tscore_groups = false, noise_scale = false, noise_trace = false, noise_signal = false, noise_status = false,
    empty = false, phase = false, confidence = false, accepted = false, probe_loss = false, delta_norm = false,
    forecast = false, alarm = false, rss_mb = false, rss_peak_mb = false, tensor_mb = false, lua_mb = false },
  eval = { step = true, split = true, loss = true, t = false, n = false, of = false, targets = false, eval_s = false },
  callback_update = { step = true, callback = false, step_norm = true, t = false },
  ready = { step = true, startup_s = true, t = false },
  event = { event = true, step = false, t = false },
  epoch = { step = true, epoch = true, train_loss = false, t = false, val_loss = false, train_s = false, eval_s = false,
    tokens_per_s = false, samples_per_s = false, best = false, tscore_mean = false, tscore_std = false,
    tscore_undefined_n = false, noise_scale = false, noise_trace = false, noise_signal = false, rss_mb = false,
    rss_peak_mb = false, tensor_mb = false, lua_mb = false },
}

-- Events that tell what has happened: their numbers are not metrics. Any other event of a callback is a measurement.
local HAPPENINGS = { start = true, resume = true, checkpoint = true, guard = true, signal = true, attach = true,
  stop = true, sample = true, early_stop = true, plateau = true, rollback = true, ready = true, horizon = true,
  selection_report = true, ewc_anchor = true, sleep = true }

local UNITS = { '_s', '_ms', '_mb', '_pct', '_tok_s', '_nats', '_n' }
local FREE = { t = true, step = true, epoch = true, loss = true, lr = true, grad_norm = true, step_norm = true,
  tscore = true, seed = true, n = true, of = true, targets = true, best = true, value = true, limit = true,
  batch = true, tokens_backprop = true, tokens_forward = true, tokens_per_s = true, samples_per_s = true, empty = true,
  term = true }
local FREE_PATTERNS = { '_loss$', '_norm$', '^tscore_', '^noise_', '_gini$', '_entropy$' }
-- What eval.metrics measures, by patterns: columns of eval lines, with val_ before them in an epoch's event.
local EVAL_METRICS = { '^accuracy$', '^top%d+$', '^perplexity$', '^binary_accuracy$', '^mae$', '^mse$', '^rmse$',
  '^r2$' }

-- Which units a name without one may have meant.
local MEANT = { { { 'time', 'second', 'duration', 'wait', 'latency' }, { '_s', '_ms' } },
  { { 'mem', 'byte', 'size' }, { '_mb' } }, { { 'acc', 'share', 'rate', 'percent', 'ratio', 'frac' }, { '_pct' } },
  { { 'token', 'speed', 'throughput' }, { '_tok_s' } },
  { { 'entropy', 'nll', 'kl', 'ppl', 'perplexity' }, { '_nats' } }, { { 'count', 'num', 'total' }, { '_n' } } }

-- Endings that read like a unit but are not, and what they should be.
local ENDINGS = { { '_seconds$', '_s' }, { '_secs?$', '_s' }, { '_millis$', '_ms' }, { '_bytes$', '_mb' },
  { '_percent$', '_pct' }, { '_count$', '_n' }, { '_num$', '_n' } }

local function is_eval_metric(name)
  for _, pattern in ipairs(EVAL_METRICS) do
    if name:find(pattern) then return true end
  end
  return false
end

local function has_unit(name)
  if FREE[name] then return true end
  for _, unit in ipairs(UNITS) do
    if #name > #unit and name:sub(-#unit) == unit then return true end
  end
  for _, pattern in ipairs(FREE_PATTERNS) do
    if name:find(pattern) then return true end
  end
  return false
end

local function suggestions(name)
  for _, ending in ipairs(ENDINGS) do
    if name:find(ending[1]) then return { (name:gsub(ending[1], ending[2])) } end
  end
  local units = UNITS
  for _, row in ipairs(MEANT) do
    for _, word in ipairs(row[1]) do
      if name:lower():find(word, 1, true) then units = row[2] end
    end
  end
  local made = {}
  for i, unit in ipairs(units) do made[i] = name .. unit end
  return made
end

local function check_names(fields, inherited)
  for name, value in pairs(fields) do
    if type(name) == 'string' then
      local ok = inherited or has_unit(name) -- phase_ms = { forward = 1.5 }
      if type(value) == 'number' and not ok then
        local names = suggestions(name)
        guards.stop('G29', "the metric '%s' has no unit in its name; use %s", name, table.concat(names, ', '))
      elseif type(value) == 'table' then
        check_names(value, ok)
      end
    end
  end
end

---Raises (exit 3) when the name of a number has no unit.
---@param fields table a line
function metrics_schema.check_names(fields)
  if fields.kind ~= 'event' or not HAPPENINGS[fields.event] then check_names(fields, false) end
end

---The column that every line of this kind has and this one lacks; nil when none does.
---@param line table with null as any value but nil
---@return string?
function metrics_schema.missing(line)
  local columns = COLUMNS[line.kind]
  if not columns then return nil end
  for name, required in pairs(columns) do
    if required and line[name] == nil then return name end
  end
  columns = line.kind == 'event' and COLUMNS[line.event] or {}
  for name, required in pairs(columns) do
    if required and line[name] == nil then return name end
  end
  return nil
end

---Raises (exit 4) with file and line when a column is missing that every line of the kind has.
---@param line table
---@param path string
---@param number integer
function metrics_schema.check_columns(line, path, number)
  local missing = metrics_schema.missing(line)
  if not missing then return end
  local names = {}
  for name in pairs(line) do names[#names + 1] = name end
  fail.data("%s", guards.say('G28', "'%s': line %d (%s) has no column '%s'%s; was it renamed, or written by another "
    .. "program?", path, number, line.event or line.kind, missing, nearest.hint(missing, names)))
end

---The columns of a kind, for tests: name -> whether every line has it.
---@param kind string train, eval, event, or an event's name
---@return table<string, boolean>?
function metrics_schema.columns(kind)
  return COLUMNS[kind]
end

---The metrics of a line as "kind/name", but for those that tell what happened.
---@param line table
---@return string[]
function metrics_schema.metrics(line)
  local kind = line.kind == 'event' and line.event or line.kind
  if line.kind == 'event' and (HAPPENINGS[kind] or not kind) then return {} end
  local found = {}
  for name, value in pairs(line) do
    if type(value) == 'number' and name ~= 't' and name ~= 'step' and name ~= 'epoch' then
      found[#found + 1] = ('%s/%s'):format(tostring(kind), name)
    end
  end
  table.sort(found)
  return found
end

---Whether the trainer itself logs a metric.
---@param metric string "kind/name"
---@return boolean
function metrics_schema.is_trainers(metric)
  local kind, name = metric:match '^(.-)/(.*)$'
  local columns = COLUMNS[kind]
  if columns == nil then return false end
  if columns[name] ~= nil or kind == 'eval' and is_eval_metric(name) then return true end
  return kind == 'epoch' and is_eval_metric(name:match '^val_(.*)$' or '')
end

return metrics_schema
