-- What cells report at the end of each epoch, and which pruner judges it.
local cells = require 'sweep.cells'
local dkjson = require 'dkjson'
local fail = require 'fail'
local json = require 'json'
local nearest = require 'nearest'
local options = require 'options'
local overrides = require 'config.overrides'
local read_file = require 'base.read_file'
local room = require 'base.room'

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

---The losses of all cells by id and epoch. Of an epoch that was trained twice the last report counts.
---@param folder string of the sweep
---@return table<string, table<integer, number>>
function pruning.reports(folder)
  local all = {}
  for id in pairs(cells.begun(folder)) do
    local text = read_file(path_of(folder, id))
    if text then
      local reports = {}
      for line in text:gmatch '([^\n]*)\n' do
        local report = dkjson.decode(line)
        if type(report) == 'table' and report.epoch and report.loss then reports[report.epoch] = report.loss end
      end
      all[id] = reports
    end
  end
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
end

---The callback of a worker.
---@param cell table of worker.begin, with `pruner`, `metric` and `maximize`
---@return table
function pruning.callback(cell)
  local sweep, judge = cell.folder:match '^(.*)/cells/[^/]*$', pruning.module(cell.pruner)
  return { name = 'prune', budget_pct = 20, on_epoch = function(ctx, record)
    local value = record[cell.metric] or (record.metrics or {})[cell.metric]
    if type(value) ~= 'number' or value ~= value or math.abs(value) == math.huge then return nil end
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
