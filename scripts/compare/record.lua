-- What a comparison knows of one run: its config without the seed, how far it came, its numbers. Metrics are read
-- when they are asked for.
local config_values = require 'config.values'
local dkjson = require 'dkjson'
local host = require 'host'
local nearest = require 'nearest'
local fail = require 'fail'
local pretty = require 'pretty'
local run_files = require 'runs.files'
local run_metrics = require 'runs.metrics'
local run_summary = require 'runs.summary'

local compare_record = {}
compare_record.__index = compare_record

local SEED = 'train.seed'
local NOISY_LOAD = 0.2 -- share of the cores that others may take (guards/README.md, Timing 6)
-- What is compared where nothing is asked for: the first that a run has.
compare_record.DEFAULT_METRICS = { 'val_loss', 'train_loss' }
local DEFAULT_BEST = { val_loss = true } -- of these a run keeps the best; of other metrics the last value counts
-- What makes two machines the same for timing; load, host name and boot are left out.
local FINGERPRINT = { 'cpu', 'flags', 'cores', 'cpus', 'threads', 'memory_bytes', 'kernel', 'blas', 'blas_threading' }
local VERSIONS = { 'lanthorn', 'libtorch', 'luajit', 'compiler' }

local function is_trial(manifest)
  for _, word in ipairs(type(manifest.argv) == 'table' and manifest.argv or {}) do
    if tostring(word):find '^%-%-fast%-dev%-run' then return true end
  end
  return false
end

local function fingerprint_of(manifest)
  local machine, versions = manifest.machine or {}, manifest.versions or {}
  local parts = { device = tostring(manifest.device) }
  for _, key in ipairs(FINGERPRINT) do parts[key] = pretty.inline(machine[key]) end
  for _, key in ipairs(VERSIONS) do parts[key] = pretty.inline(versions[key]) end
  return parts
end

---@param run { experiment: string, id: string, path: string }
---@return table record
function compare_record.new(run)
  local manifest = run_files.document(run.path, 'manifest.json') or {}
  local config = run_files.document(run.path, 'config.json') or {}
  local state = run_files.state(run.path)
  local machine = type(manifest.machine) == 'table' and manifest.machine or {}
  local record = setmetatable({ run = run, name = run.experiment .. '/' .. run.id, state = state.state,
    step = state.step, steps = state.steps, values = config_values.flatten(config.values),
    source_hash = manifest.source_hash, data = manifest.data, exit = run_files.document(run.path, 'exit.json') or {},
    fingerprint = fingerprint_of(manifest),
    noisy = (machine.load_average or 0) > NOISY_LOAD * (machine.cores or math.huge) }, compare_record)
  record.seed = record.values[SEED] or manifest.seed
  record.values[SEED] = nil
  record.is_trial = is_trial(manifest)
  record.interventions = state.interventions or 0
  record.complete = record.state == 'FINISHED' and not record.is_trial
  return record
end

---A value of the config as text, for keys and labels.
---@param path string
---@return string
function compare_record:value(path)
  local value = self.values[path]
  if type(value) == 'table' then return dkjson.encode(value) end
  return type(value) == 'number' and pretty.number(value) or tostring(value)
end

---The guards that fired in the run or were switched off.
---@return { id: string, level: string?, no_claim: boolean? }[]
function compare_record:guards()
  self.guard_list = self.guard_list or run_summary.guards(self.run)
  return self.guard_list
end

---The guard that says that the run's quality means nothing (G06); nil when none does.
---@return string? id
function compare_record:no_claim()
  for _, guard in ipairs(self:guards()) do
    if guard.no_claim then return guard.id end
  end
  return nil
end

-- Lines of a kind; none for a run that logged nothing.
function compare_record:lines(kind)
  if not host.stat(self.run.path .. '/metrics.jsonl') then return function() end end
  return run_metrics.lines(self.run.path, kind and { [kind] = true })
end

local function field(line, name)
  local value = line[name]
  if value == nil then
    value = line
    for part in name:gmatch '[^.]+' do value = type(value) == 'table' and value[part] or nil end
  end
  return type(value) == 'number' and value or nil
end

-- Points of the curve `name` from the lines that f accepts.
function compare_record:curve(kind, name, accepts)
  local points = {}
  for line in self:lines(kind) do
    local value = (not accepts or accepts(line)) and field(line, name)
    if value then points[#points + 1] = { step = line.step, value = value, t = line.t } end
  end
  return points
end

---The val losses of a run, each with its step and time.
---@return { step: integer, value: number, t: number }[]
function compare_record:evals()
  self.eval_points = self.eval_points or self:curve('eval', 'loss', function(line) return line.split == 'val' end)
  return self.eval_points
end

-- Where a metric without a summary is looked for: evals, epochs, updates, other events.
function compare_record:points(name)
  if name == 'val_loss' and #self:evals() > 0 then return self:evals() end
  local points = self:curve('event', name, function(line) return line.event == 'epoch' end)
  if #points == 0 then points = self:curve('train', name) end
  if #points == 0 then points = self:curve('event', name) end
  return points
end

---Splits "val_loss.best" into name and mode; the mode of a plain name is best for val_loss, last for others.
---@param text string
---@return string name, string mode
function compare_record.metric_of(text)
  local name, mode = text:match '^(.+)%.(%l+)$'
  if mode == 'best' or mode == 'last' then return name, mode end
  return text, DEFAULT_BEST[text] and 'best' or 'last'
end

---The value of a metric; nil when the run has none, or when it is not a number.
---@param name string
---@param mode string 'best' (the lowest) or 'last'
---@return number?
function compare_record:metric(name, mode)
  local summary = type(self.exit.summary) == 'table' and self.exit.summary[name]
  local value = type(summary) == 'table' and summary[mode] or nil
  if value == nil then
    for _, point in ipairs(self:points(name)) do
      if mode == 'last' or value == nil or point.value < value then value = point.value end
    end
  end
  return value == value and value or nil
end

---Raises for a metric that none of the runs has, with the names that they have.
---@param records table[]
---@param name string
function compare_record.unknown_metric(records, name)
  local seen = {}
  for _, record in ipairs(records) do
    for key in pairs(type(record.exit.summary) == 'table' and record.exit.summary or {}) do seen[key] = true end
    local first = record:lines('train')() or {}
    for key, value in pairs(first) do
      if type(value) == 'number' and key ~= 't' and key ~= 'step' then seen[key] = true end
    end
  end
  local names = pretty.sorted_keys(seen)
  if #names == 0 then
    fail.data("no run has any number yet, so '%s' cannot be compared; runner show tells how they ended", name)
  end
  fail.usage("no run has the metric '%s'%s", name, nearest.hint(name, names))
end

---The losses of all updates, by step.
---@return table<integer, number>
function compare_record:train_losses()
  local losses = {}
  for _, point in ipairs(self:curve('train', 'loss')) do losses[point.step] = point.value end
  return losses
end

---What the run took, all attempts together. Energy is not measured.
---@return { cpu_s: number?, wall_s: number?, targets: integer? }
function compare_record:cost()
  local cost = { targets = self:targets() }
  for _, exit in ipairs(run_summary.exits(self.run)) do
    for _, key in ipairs { 'cpu_s', 'wall_s' } do
      if type(exit[key]) == 'number' then cost[key] = (cost[key] or 0) + exit[key] end
    end
  end
  return cost
end

---Targets that got gradient in all; nil when unknown.
---@return integer?
function compare_record:targets()
  local points = self:curve('train', 'tokens_backprop')
  return points[#points] and points[#points].value
end

---Seconds from the start to the first eval at or below `target`; nil, reason when there is no such time.
---@param target number
---@return number? seconds, string? reason
function compare_record:time_to(target)
  local first
  for line in self:lines('event') do
    if line.event == 'resume' then return nil, 'resumed' end
    first = first or line.t
  end
  for _, point in ipairs(self:evals()) do
    if point.value <= target then return first and point.t - first, 'no start' end
  end
  return nil, 'not reached'
end

local QUIET = { start = true, resume = true, epoch = true, checkpoint = true, sample = true, stop = true,
  tscore_probe = true, ready = true }

---How often guards, callbacks and signals acted: "guard 2, early_stop 1" or "none".
---@return string
function compare_record:triggers()
  local counts, parts = {}, {}
  for line in self:lines('event') do
    if line.event and not QUIET[line.event] and line.level ~= 'off' then
      counts[line.event] = (counts[line.event] or 0) + 1
    end
  end
  for _, name in ipairs(pretty.sorted_keys(counts)) do parts[#parts + 1] = ('%s %d'):format(name, counts[name]) end
  return #parts > 0 and table.concat(parts, ', ') or 'none'
end

return compare_record
