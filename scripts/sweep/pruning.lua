-- What cells report at the end of each epoch, and which pruner judges it.
local cells = require 'sweep.cells'
local console = require 'console'
local dkjson = require 'dkjson'
local fail = require 'fail'
local host = require 'host'
local index = require 'sweep.study.index'
local json = require 'json'
local metric = require 'sweep.metric'
local nearest = require 'nearest'
local options = require 'options'
local overrides = require 'config.overrides'
local read_file = require 'base.read_file'
local room = require 'base.room'
local shared = require 'sweep.study.shared'

local pruning = {}

local ROOM = 'sweep/pruners'

local function path_of(folder, id) return cells.folder(folder, id) .. '/reports.jsonl' end

---The name and the options of a pruner from text such as "asha" or "asha(min=1,eta=3)".
---@param text string
---@return { name: string, options: table }
function pruning.parse(text)
  local name, inside = text:match '^([%w_]+)%((.*)%)$'
  name = name or text
  if not room.has(ROOM, name) then
    fail.usage("pruner '%s' is not known%s", name, nearest.hint(name, room.names(ROOM)))
  end
  local given = {}
  if inside then
    local node = overrides.parse_value('{' .. inside .. '}', text)
    for _, key in ipairs(node.names) do given[key] = tonumber(node.fields[key].text) or node.fields[key].text end
  end
  return { name = name, options = options.check('pruner ' .. name, given, require('sweep.pruners.' .. name).options) }
end

---@param about { name: string, options: table }
---@return table the module of the pruner
function pruning.module(about)
  return require('sweep.pruners.' .. about.name)
end

local function parse(text)
  local reports = {}
  for line in text:gmatch '([^\n]*)\n' do
    local report = dkjson.decode(line)
    if type(report) == 'table' and report.epoch and report.loss then reports[report.epoch] = report.loss end
  end
  return reports
end

-- Reports as the index keeps them: "1 0.52 2 0.48".
local function packed(reports)
  local parts = {}
  for epoch, loss in pairs(reports) do parts[#parts + 1] = ('%d %.17g'):format(epoch, loss) end
  return table.concat(parts, ' ')
end

local function unpacked(text)
  local reports = {}
  for epoch, loss in text:gmatch '(%S+) (%S+)' do reports[tonumber(epoch)] = tonumber(loss) end
  return reports
end

---The losses of the cells that ran here, by id and epoch. Of an epoch that was trained twice the last report counts.
---@param folder string of the sweep
---@return table<string, table<integer, number>>
function pruning.own_reports(folder)
  local all, kept, fresh = {}, index.read(folder, 'reports'), {}
  for id in pairs(cells.begun(folder)) do
    local path = path_of(folder, id)
    local about = host.stat(path) -- a file that only grows is told by its size
    if about and kept[id] and kept[id].stamp == about.size then
      all[id] = unpacked(kept[id].body)
    elseif about then
      local text = read_file(path) or ''
      all[id] = parse(text)
      fresh[#fresh + 1] = { id = id, stamp = #text, body = packed(all[id]) }
    end
  end
  index.keep(folder, 'reports', fresh)
  return all
end

---The losses of all cells: those of other machines too, where they share a study.
---@param folder string of the sweep
---@return table<string, table<integer, number>>
function pruning.reports(folder)
  local all, study = pruning.own_reports(folder), shared.of(folder)
  for id, reports in pairs(study and study:reports() or {}) do
    all[id] = all[id] or {}
    for epoch, loss in pairs(reports) do all[id][epoch] = all[id][epoch] or loss end
  end
  if study then study:rest() end
  return all
end

---Whether a pruned cell may go on by now.
---@param about table the pruner
---@param id string
---@param reports table of pruning.reports
---@param is_last boolean no further cell comes
---@return boolean
function pruning.promotes(about, id, reports, is_last)
  local judge = pruning.module(about)
  return judge.promote and judge.promote(about.options, id, reports, is_last) or false
end

---Notes the loss of a cell.
---@param folder string of the sweep
---@param id string
---@param epoch integer
---@param loss number
function pruning.report(folder, id, epoch, loss)
  local file, message = io.open(path_of(folder, id), 'ab')
  if not file then fail.raise(9, 'the cell cannot report: %s', message) end
  file:write(json.encode { epoch = epoch, loss = loss }, '\n')
  file:close()
  local study = shared.of(folder)
  if not study then return end
  local ok, problem = study:report(id, epoch, loss)
  study:rest()
  if not ok then console.warn('the study does not have this report: ' .. problem) end
end

---The callback of a worker.
---@param cell table of worker.begin, with `pruner`, `metric` and `maximize`
---@return table
function pruning.callback(cell)
  local sweep, judge = cell.folder:match '^(.*)/cells/[^/]*$', pruning.module(cell.pruner)
  return { name = 'prune', budget_pct = 20, on_epoch = function(ctx, record)
    local value = metric.of_epoch(record, cell.metric)
    if not value then return nil end
    local loss = cell.maximize and -value or value
    pruning.report(sweep, cell.id, record.epoch, loss)
    if record.step >= ctx.trainer:planned_steps() then return nil end -- it is done
    local reason = judge.prune(cell.pruner.options, cell.id, record.epoch, pruning.reports(sweep))
    if not reason then return nil end
    ctx.log { kind = 'event', event = 'prune', step = record.step, message = reason }
    cell.pruned = true
    return 'stop', reason
  end }
end

return pruning
