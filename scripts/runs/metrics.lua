-- Reads metrics.jsonl, line by line and without the native module: a file of any length takes little memory. Which
-- lines count is told by host.metrics_lines (engine/run/metrics/metrics_reader.h).
--   for line in run_metrics.lines(run.path) do ... line.kind, line.step, line.loss ... end
local dkjson = require 'dkjson'
local fail = require 'fail'
local host = require 'host'
local columns = require 'runs.columns'
local run_files = require 'runs.files'

local run_metrics = {}

local NULL = {} -- stands for JSON's null while a line is read
local SPECIAL = { nan = 0 / 0, inf = math.huge, ['-inf'] = -math.huge }

-- Puts the numbers that JSON cannot hold back in their place and drops every other null.
local function restore(value, path, nonfinite)
  for key, inner in pairs(value) do
    if inner == NULL then
      value[key] = SPECIAL[nonfinite[path .. key]]
    elseif type(inner) == 'table' then
      restore(inner, path .. key .. '.', nonfinite)
    end
  end
end

-- The object of a line, or nil. `check(line)` sees it while null is still told from absent.
local function decode(text, check)
  if not text:find('^%s*{') then return nil end
  local line, stop = dkjson.decode(text, 1, NULL, nil)
  if type(line) ~= 'table' or text:find('%S', stop) then return nil end
  local nonfinite = type(line.nonfinite) == 'table' and line.nonfinite or {}
  line.nonfinite = nil
  if check then check(line) end
  restore(line, '', nonfinite)
  return line
end

---The lines of a run's metrics.jsonl, in order, without void ones. Numbers that are not finite come as they were,
---null as nil. Raises (exit 4) when the file is missing, when a line before the last is not a JSON object or lacks a
---column that all of its kind have (G28), or when the run is of a newer format.
---@param folder string a run directory
---@param kinds? table<string, boolean> only lines of these kinds: { train = true }; others are not even decoded
---@return fun(): table? lines
function run_metrics.lines(folder, kinds)
  run_files.document(folder, 'manifest.json')
  local path = folder .. '/metrics.jsonl'
  local next_line, message = host.metrics_lines(path)
  if not next_line then
    fail.data('%s; a run that did not get as far as its first step has none', message)
  end
  local number
  local function check(line) columns.check_columns(line, path, number) end
  local function wanted(text)
    local kind = kinds and text:match '"kind":"(%w+)"'
    return kind == nil or kinds[kind]
  end
  return function()
    for text, at, torn in next_line do
      number = at
      if torn or wanted(text) then
        local line = decode(text, check)
        if line then
          if not kinds or kinds[line.kind] then return line end
        elseif not torn then
          fail.data("'%s': line %d is not a JSON object", path, number)
        end
      end
    end
    return nil
  end
end

return run_metrics
