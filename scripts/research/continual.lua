-- What continual trainings share (data.domains and data.tasks with phases): where phases end, and the arms that
-- experiments compare. What keeps earlier tasks is elsewhere: the callbacks `ewc` and `sleep`, and replay of data.
local fail = require 'fail'
local native = require 'lanthorn'
local options = require 'options'
local specs = require 'config.specs'

local continual = {}

local function ended_between(end_batch, record)
  return end_batch <= record.batch and end_batch > record.batch - record.micro_batches
end

---The last phase of data with phases that ended in this update, which may have several batches; nil for none.
---@param phases { end_batch: integer }[]
---@param record { batch: integer, micro_batches: integer } of on_step
---@return integer?
function continual.ended(phases, record)
  local found
  for phase, one in ipairs(phases) do
    if ended_between(one.end_batch, record) then found = phase end
  end
  return found
end

---The last pass that ended in this update, and its phase; nil for none.
---@param phases { passes: integer[] }[]
---@param record { batch: integer, micro_batches: integer } of on_step
---@return integer? phase, integer? pass
function continual.pass_ended(phases, record)
  local phase, pass
  for i, one in ipairs(phases) do
    for p, end_batch in ipairs(one.passes) do
      if ended_between(end_batch, record) then phase, pass = i, p end
    end
  end
  return phase, pass
end

---Raises (exit 3) where the data have no phases that follow one another.
---@param data table
---@param who string
function continual.check_phases(data, who)
  if type(data.phases) ~= 'table' then
    fail.config('%s needs data with phases: data.domains or data.tasks', who)
  end
  if #data.phases < 2 then
    fail.config('%s needs at least two phases, one after the other (interleaved=false)', who)
  end
end

---Raises (exit 3) where phases would begin again with each epoch.
---@param epochs integer
---@param who string
function continual.check_epochs(epochs, who)
  if epochs > 1 then
    fail.config('%s needs train.epochs=1, got %d: phases would begin again; repeat them by phases={1,2,1,2}, or '
      .. 'lengthen them by passes', who, epochs)
  end
end

---The same data with rows of earlier phases in each batch: `memory` rows are kept, in equal shares of the phases that
---are over or as a reservoir of all rows seen (`kind`); as many of them as a batch has rows come beside its own, or
---take the place of half of them (`in_place`). A batch counts for the domain of its phase. memory = 0: the data as they
---are.
---@param data table of data.domains or data.tasks
---@param given { memory: integer, kind: string?, in_place: boolean?, seed: integer? }
---@return table data for train.fit
function continual.replay(data, given)
  local o = options.check('continual.replay', given, specs.rows('replay', {}))
  continual.check_phases(data, 'continual.replay')
  local function check_plan(self, plan, eta)
    continual.check_epochs(plan.epochs, 'continual.replay')
    return data.check_plan(self, plan, eta)
  end
  return setmetatable({ train = native.data.replay(data.train, o), check_plan = check_plan }, { __index = data })
end

return continual
