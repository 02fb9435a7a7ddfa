-- Whether two run directories hold the same training: parameters, optimiser, state and metrics, byte for byte but for
-- what is measured with a clock.
local dkjson = require 'dkjson'
local host = require 'host'
local read_file = require 'base.read_file'
local run_files = require 'runs.files'
local run_metrics = require 'runs.metrics'

local equality = {}

local CLOCK = { t = true, seconds = true, step_seconds = true, eval_seconds = true, tokens_per_s = true,
  samples_per_s = true, train_s = true, eval_s = true, config_hash = true }

local function by_clock(name)
  return CLOCK[name] or tostring(name):find '_ms$' ~= nil or tostring(name):find '_mb$' ~= nil
end

-- The path of the first difference of two values, or nil.
local function difference(a, b, path)
  if type(a) ~= 'table' or type(b) ~= 'table' then
    if a == b or (a ~= a and b ~= b) then return nil end
    return path
  end
  local keys = {}
  for key in pairs(a) do keys[#keys + 1] = key end
  for key in pairs(b) do
    if a[key] == nil then keys[#keys + 1] = key end
  end
  table.sort(keys, function(x, y) return tostring(x) < tostring(y) end)
  for _, key in ipairs(keys) do
    if not by_clock(key) then
      local found = difference(a[key], b[key], path .. '.' .. tostring(key))
      if found then return found end
    end
  end
  return nil
end

local function read(path) return assert(read_file(path)) end

-- Train and eval lines, and the ends of epochs, in order.
local function curve(path)
  local rows = {}
  for line in run_metrics.lines(path) do
    if line.kind ~= 'event' or line.event == 'epoch' then rows[#rows + 1] = line end
  end
  return rows
end

---What is different in two runs at their last checkpoints: a list of texts, empty when they are equal.
---@param a string folder
---@param b string folder
---@return string[] differences
---@return integer step of the checkpoints
function equality.compare(a, b)
  local found = {}
  local first, second = a .. '/checkpoints/latest/', b .. '/checkpoints/latest/'
  for _, file in ipairs { 'model.safetensors', 'optim.safetensors' } do
    if read(first .. file) ~= read(second .. file) then found[#found + 1] = file .. ' differs' end
  end
  local penalty = 'penalty.safetensors' -- of some trainings
  local one, other = host.stat(first .. penalty) ~= nil, host.stat(second .. penalty) ~= nil
  if one ~= other or one and read(first .. penalty) ~= read(second .. penalty) then
    found[#found + 1] = penalty .. ' differs'
  end
  local left, right = dkjson.decode(read(first .. 'state.json')), dkjson.decode(read(second .. 'state.json'))
  local where = difference(left, right, 'state.json')
  if where then found[#found + 1] = where .. ' differs' end
  local x, y = curve(a), curve(b)
  if #x ~= #y then found[#found + 1] = ('metrics.jsonl: %d lines of curves against %d'):format(#x, #y) end
  for i = 1, math.min(#x, #y) do
    where = difference(x[i], y[i], ('metrics.jsonl: step %s: %s'):format(tostring(x[i].step), x[i].event or x[i].kind))
    if where then
      found[#found + 1] = where .. ' differs'
      break
    end
  end
  return found, left.step
end

---The run directories of an experiment's newest launch, by the number of their fit.
---@param experiment string
---@return string[] paths
function equality.launch(experiment)
  local runs, newest, paths = run_files.list(experiment), nil, {}
  for i = #runs, 1, -1 do
    local manifest = run_files.read_json(runs[i].path .. '/manifest.json')
    newest = newest or manifest and manifest.launch
    if manifest and newest and manifest.launch == newest then paths[manifest.fit] = runs[i].path end
  end
  return paths
end

return equality
