-- How many evals and checkpoints a training of so many updates has, as the loop makes them: an eval and maybe a save at
-- each epoch's end, saves by updates or seconds within it, one of each at the end of the training.
local cadence = {}

local MOST_SHARE = 0.01 -- of the time, for saves at epochs' ends (engine/train/state/checkpointer.cc)

---@class Cadence
---@field batches integer an epoch
---@field accumulate integer micro-steps of an update
---@field update_s number
---@field eval_s number 0 where there are no evals
---@field save_s number? nil where there are no checkpoints
---@field every { steps: integer, seconds: number, epochs: integer } of the section `checkpoint`

---Updates of an epoch; the last one may have fewer micro-steps.
---@param plan Cadence
---@return integer
function cadence.epoch_updates(plan) return math.ceil(plan.batches / plan.accumulate) end

---Micro-steps of so many updates.
---@param plan Cadence
---@param updates integer
---@return integer
function cadence.micro_steps(plan, updates)
  local epoch = cadence.epoch_updates(plan)
  return math.floor(updates / epoch) * plan.batches + math.min(updates % epoch * plan.accumulate, plan.batches)
end

-- Whether a save is due after this update, as Checkpointer::IsDue has it.
local function is_due(plan, step, since_s)
  local every = plan.every
  return (every.steps > 0 and step % every.steps == 0) or (every.seconds > 0 and since_s >= every.seconds)
end

---Evals and checkpoints between two updates, those at the end included. Each epoch is taken to be better than the one
---before: the best one that was not saved waits in memory and is written at the end.
---@param plan Cadence
---@param from integer updates that are made already
---@param to integer
---@return { evals: integer, checkpoints: integer }
function cadence.count(plan, from, to)
  local epoch, evals, saves, clock, last, saving, waits = cadence.epoch_updates(plan), 0, 0, 0, 0, 0, false
  local function save(writes)
    saves, saving, waits = saves + writes, saving + writes * plan.save_s, false
    clock = clock + writes * plan.save_s
    last = clock
  end
  for step = from + 1, to - 1 do
    clock = clock + plan.update_s
    local at_end = step % epoch == 0
    if at_end then evals, clock = evals + 1, clock + plan.eval_s end
    if plan.save_s then
      local number, regular = step / epoch, plan.every.epochs
      local cheap = at_end and regular > 0 and number % regular == 0 and saving <= MOST_SHARE * clock
      if cheap or is_due(plan, step, clock - last) then
        save((waits and not at_end) and 2 or 1)
      elseif at_end then
        waits = true
      end
    end
  end
  local last_writes = plan.save_s and to > from and 1 or 0
  if waits then last_writes = last_writes + 1 end
  return { evals = plan.eval_s > 0 and evals + (to > from and 1 or 0) or 0, checkpoints = saves + last_writes }
end

return cadence
