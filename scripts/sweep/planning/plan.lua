-- plan.jsonl: what a sweep is going to run, written whole before the first cell starts (README.md has the format).
-- The cells of a sampler that learns come later, by trials.
local dkjson = require 'dkjson'
local fail = require 'fail'
local files = require 'files'
local host = require 'host'
local output_files = require 'base.output_files'
local read_file = require 'base.read_file'
local trials = require 'sweep.planning.trials'

local plan = {}

local FORMAT = 1
local MACHINE = 9

local function encode(value)
  return dkjson.encode(value) .. '\n'
end

local function write(path, text)
  local written, message = host.write_file(path, text)
  if not written then fail.raise(MACHINE, 'the sweep cannot be planned: %s', message) end
end

---The file of a sweep's folder.
---@param folder string
---@return string
function plan.path(folder)
  return folder .. '/plan.jsonl'
end

---Whether a folder is that of a sweep.
---@param folder string
---@return boolean
function plan.exists(folder)
  return host.stat(plan.path(folder)) ~= nil
end

---Reads a plan. Raises (exit 4) when it is damaged or of a newer format.
---@param folder string
---@return { head: table, cells: { i: integer, id: string, set: string[] }[], trials: integer } trials: begun so far
function plan.read(folder)
  local path = plan.path(folder)
  local text, message = read_file(path)
  if not text then fail.data('%s', message) end
  local made = { head = nil, cells = {}, folder = folder }
  local number = 0
  for line in text:gmatch '[^\n]+' do
    number = number + 1
    local value = dkjson.decode(line)
    if type(value) ~= 'table' then
      -- Only the last line of a file that grows can be torn.
      if text:sub(-1) == '\n' then fail.data("'%s': line %d is not JSON", path, number) end
    elseif value.kind == 'plan' then
      if value.format > FORMAT then
        fail.data("'%s': format %d is newer than %d, the newest this runner knows", path, value.format, FORMAT)
      end
      made.head = value
    elseif value.kind == 'cell' then
      made.cells[#made.cells + 1] = value
    elseif value.kind == 'source' and made.head then
      made.head.source_hash, made.head.sources_changed = value.source_hash, value.created
    end
  end
  if not made.head then fail.data("'%s': the first line, which describes the sweep, is missing", path) end
  local known = made.head.sampler == 'tpe' and trials.read(folder) or {}
  made.trials = #known
  for _, trial in ipairs(known) do
    for _, cell in ipairs(trial.cells) do made.cells[#made.cells + 1] = cell end
  end
  return made
end

---Writes a new plan, with the texts of the scripts beside it: all of it, under another name first, or nothing. Another
---process may have been faster; then its plan stays.
---@param folder string
---@param made { head: table, cells: table[] }
---@param texts table<string, string> sources by name
function plan.write(folder, made, texts)
  local new = ('%s.tmp-%s-%d'):format(folder, host.hostname(), host.pid())
  local done, message = files.make_folder(new .. '/src')
  if not done then fail.raise(MACHINE, 'the sweep cannot be planned: %s', message) end
  for name, text in pairs(texts) do write(('%s/src/%s'):format(new, name), text) end
  made.head.kind, made.head.format = 'plan', FORMAT
  local lines = { encode(made.head) }
  for i, cell in ipairs(made.cells) do
    lines[i + 1] = encode { kind = 'cell', i = cell.i, id = cell.id, set = cell.set }
  end
  write(plan.path(new), table.concat(lines))
  local renamed, problem = os.rename(new, folder)
  if renamed then return end
  output_files.remove(new)
  if not plan.exists(folder) then fail.raise(MACHINE, 'the sweep cannot be planned: %s', problem) end
end

---Adds a line to a plan: a change of the sources that was accepted.
---@param folder string
---@param line table
function plan.append(folder, line)
  output_files.append(plan.path(folder), encode(line))
end

return plan
