-- Scripts run as a user would run them, each under a name of its own, in a temporary folder that goes away at the end.
--   local runs = require 'testing.runs'
--   local ran = runs.run("print 'x'", 'train.epochs=1')   -- ran.output, ran.code, ran.folder, ran.lines, ran.config
local dkjson = require 'dkjson'
local host = require 'host'
local processes = require 'testing.processes'
local read_file = require 'base.read_file'
local testing = require 'testing'

local runs = {}

runs.root = testing.temporary_folder()

-- A word of a shell command: the runner under test.
runs.RUNNER = testing.quote(host.folder .. '/runner')

---The content of a file.
---@param path string
---@return string
function runs.read(path)
  return assert(read_file(path))
end

---Writes a file in the folder. Returns its path.
---@param name string
---@param text string
---@return string path
function runs.write(name, text)
  local path = runs.root .. '/' .. name
  local file = assert(io.open(path, 'wb'))
  file:write(text)
  file:close()
  return path
end

---The value of a JSON file.
---@param path string
function runs.json(path)
  return assert(dkjson.decode(runs.read(path)))
end

---The lines of a metrics.jsonl.
---@param path string
---@return table[]
function runs.rows(path)
  local rows = {}
  for line in io.lines(path) do rows[#rows + 1] = assert(dkjson.decode(line)) end
  return rows
end

---The lines of a metrics.jsonl by kind, events by their name.
---@param path string
---@return table<string, table[]> lines a list for every name, empty where there are none
function runs.metrics(path)
  local lines = setmetatable({}, { __index = function(all, name)
    all[name] = {}
    return all[name]
  end })
  for _, row in ipairs(runs.rows(path)) do table.insert(lines[row.event or row.kind], row) end
  return lines
end

-- The shell's words for a command of the runner on the runs of this file.
local function command_of(words, environment)
  local command = { environment or '', ('RUNNER_RESULTS_DIR=%s/results'):format(runs.root), runs.RUNNER }
  for _, word in ipairs(words) do command[#command + 1] = testing.quote(word) end
  return table.concat(command, ' ')
end

---Runs a command of the runner on the runs of this file.
---@return string output, integer code
function runs.command(...)
  return testing.shell(command_of { ... })
end

local started = 0

---Starts a command of the runner on the runs of this file, in the background.
---@param words { environment: string? } the words; `environment` as in `env`, such as "-u HOME A=1"
---@return table process
function runs.start(words)
  started = started + 1
  local command = 'exec env ' .. command_of(words, words.environment)
  return processes.start(command, ('%s/started%d'):format(runs.root, started))
end

---What the newest run of this name has come to: `name`, `lines`, and where there are such `folder`, `config`, `exit`.
---@param name string
---@return table ran
function runs.latest(name)
  local ran = { name = name, lines = {} }
  local folder = ('%s/results/%s/latest'):format(runs.root, name)
  if not host.stat(folder) then return ran end
  ran.folder = folder
  if host.stat(folder .. '/metrics.jsonl') then ran.lines = runs.metrics(folder .. '/metrics.jsonl') end
  if host.stat(folder .. '/config.json') then ran.config = runs.json(folder .. '/config.json').values end
  if host.stat(folder .. '/exit.json') then ran.exit = runs.json(folder .. '/exit.json') end
  return ran
end

---What exit.json says of a guard.
---@param ran table as of `run` or `latest`
---@param id string
---@return table? entry nil where it says nothing
function runs.guard(ran, id)
  for _, guard in ipairs(runs.json(ran.folder .. '/exit.json').guards) do
    if guard.id == id then return guard end
  end
  return nil
end

local number = 0

---Runs a script with these words after it. Gives its run as `latest` does, with `output` and `code`.
---@param script string
---@return table ran
function runs.run(script, ...)
  number = number + 1
  local name = 'run' .. number
  local output, code = runs.command(runs.write(name .. '.lua', script), ...)
  local ran = runs.latest(name)
  ran.output, ran.code = output, code
  return ran
end

return runs
