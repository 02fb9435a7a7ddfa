-- What the files of a sweep here say and the study does not know: of cells that ended while it did not answer, or of a
-- study that was lost.
local cells = require 'sweep.cells'
local fail = require 'fail'
local pruning = require 'sweep.pruning'
local trials = require 'sweep.planning.trials'

local CONFIG = 3

local function push_cells(study, folder)
  local count = 0
  for id in pairs(cells.begun(folder)) do
    local own, known = cells.state(folder, id), study:state(id)
    local has_ended = own.state ~= 'running' and own.state ~= 'missing'
    local is_told = known and (known.state == own.state or known.state == 'done' or known.state == 'running')
    if has_ended and not is_told then
      local ok, message = study:record(id, own)
      if not ok then return count, message end
      count = count + 1
    end
  end
  return count
end

local function push_trials(study, folder)
  local known, count = {}, 0
  local rows, problem = study:trials(0)
  if not rows then return 0, problem end
  for _, row in ipairs(rows) do known[row[1]] = row[2] end
  for _, trial in ipairs(trials.read(folder)) do
    local body = trial.text
    if not known[trial.k] then
      local ok, message = study:add_trial(trial.k, body)
      if not ok then return count, message end
      count = count + 1
    elseif known[trial.k] ~= body then
      fail.raise(CONFIG, 'trial %d here is not that of the study: this sweep and that one went on apart; give this one '
        .. 'another --name', trial.k)
    end
  end
  return count
end

local function push_reports(study, folder)
  local known, count = study:reports() or {}, 0
  for id, reports in pairs(pruning.own_reports(folder)) do
    for epoch, loss in pairs(reports) do
      if not (known[id] and known[id][epoch]) then
        local ok, message = study:report(id, epoch, loss)
        if not ok then return count, message end
        count = count + 1
      end
    end
  end
  return count
end

---@param study table of shared.join
---@param folder string of the sweep
---@return { cells: integer, trials: integer, reports: integer } counts, string? message of what stopped it
return function(study, folder)
  local counts = { cells = 0, trials = 0, reports = 0 }
  local ok, message = study:pull()
  if not ok then return counts, message end
  counts.cells, message = push_cells(study, folder)
  if not message then counts.trials, message = push_trials(study, folder) end
  if not message then counts.reports, message = push_reports(study, folder) end
  return counts, message
end
