-- Reads metrics.jsonl, line by line and without the native module: a file of any length takes little memory. What is
-- void stays hidden: a torn last line, and points of curves above the step of a later resume or rollback
-- (engine/run/README.md).
--   for line in run_metrics.lines(run.path) do ... line.kind, line.step, line.loss ... end
local dkjson = require 'dkjson'
local fail = require 'fail'
local columns = require 'runs.columns'
local run_files = require 'runs.files'

local run_metrics = {}

local NULL = {} -- stands for JSON's null while a line is read
local CURVES = { epoch = true, tscore_probe = true } -- events that are points of a curve; others tell what has happened
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

local function open(path)
  local file, message = io.open(path, 'rb')
  if not file then
    fail.data("'%s': cannot be read (%s); a run that did not get as far as its first step has none", path,
      (message:match(': ([^:]*)$') or message):lower())
  end
  return file
end

-- Resumes and rollbacks by the number of their line, in order, and the size of the file: what a running process
-- appends later is not of this reading.
local function survey(path)
  local file, resumes, number, bytes = open(path), {}, 0, 0
  for text in file:lines() do
    number, bytes = number + 1, bytes + #text + 1
    if text:find('"resume"', 1, true) or text:find('"rollback"', 1, true) then
      local line = decode(text)
      if line and (line.event == 'resume' or line.event == 'rollback') and type(line.step) == 'number' then
        resumes[#resumes + 1] = { number = number, step = line.step }
      end
    end
  end
  local size = file:seek 'end'
  file:close()
  -- The lowest step of any resume from here on: lines before it are void above that.
  for i = #resumes - 1, 1, -1 do resumes[i].step = math.min(resumes[i].step, resumes[i + 1].step) end
  return resumes, number, bytes <= size
end

local function is_void(line, limit)
  return limit ~= nil and (line.kind ~= 'event' or CURVES[line.event]) and type(line.step) == 'number'
    and line.step > limit.step
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
  local resumes, count, whole = survey(path)
  local file, number, next_resume = open(path), 0, 1
  local function wanted(text)
    if not kinds then return true end
    local kind = text:match '"kind":"(%w+)"'
    return kind == nil or kinds[kind]
  end
  local function check(line) columns.check_columns(line, path, number) end
  return function()
    while number < count do
      local text = file:read '*l'
      number = number + 1
      if resumes[next_resume] and resumes[next_resume].number < number then next_resume = next_resume + 1 end
      local last = number == count
      if last or wanted(text) then
        local line = decode(text, check)
        if not line and not (last and not whole) then fail.data("'%s': line %d is not a JSON object", path, number) end
        if line and (not kinds or kinds[line.kind]) and not is_void(line, resumes[next_resume]) then
          if last then file:close() end
          return line
        end
      end
    end
    if io.type(file) == 'file' then file:close() end
    return nil
  end
end

return run_metrics
