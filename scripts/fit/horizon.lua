-- The end of a schedule (optim.schedule=cosine or linear) when a run is resumed for longer or shorter: train.epochs
-- and train.max_steps decide where the learning rate reaches its end, so a new number of updates is another curve.
-- Which one is wanted is asked for, never guessed.
local console = require 'console'
local fail = require 'fail'
local native = require 'lanthorn'
local options = require 'options'
local resume = require 'fit.resume'
local run_files = require 'runs.files'
local specs = require 'config.specs'

local horizon = {}

-- Schedules that end with the training; the others do not know how long it is.
local ENDING = { cosine = true, linear = true }

---The update at which a training's schedule ends: optim.horizon if that is a number, else 0 for its last one.
---@param given number|string|nil optim.horizon
---@return integer
function horizon.total(given)
  if type(given) ~= 'number' then
    if given ~= nil and given ~= 'keep' and given ~= 'stretch' then
      fail.config("optim.horizon must be keep, stretch or a number of updates, got '%s'", tostring(given))
    end
    return 0
  end
  if given < 1 or given % 1 ~= 0 then
    fail.config('optim.horizon must be a whole number of updates from 1, got %s', tostring(given))
  end
  return given
end

---Of a training that is cut down to a few updates: a later end, so that a warm-up or a hold is not longer than it.
---@param o table the section `optim`
---@param updates integer
---@return table
function horizon.for_few(o, updates)
  if not ENDING[o.schedule] or type(o.horizon) == 'number' then return o end
  return options.with(o, { horizon = math.max(updates, o.warmup or 0, o.hold or 0) + 1 })
end

-- The updates that a run planned, by its own files: what its schedule ended at before checkpoints recorded it.
local function planned_of(path)
  local manifest, config = run_files.read_json(path .. '/manifest.json'), run_files.read_json(path .. '/config.json')
  local given = config and config.values and config.values.train
  if not manifest or not manifest.batches or not given or not given.epochs then return nil end
  return native.train.planned_updates(specs.native_part('train', given), manifest.batches)
end

-- The checkpoint that a resumed training will begin with: its step, and where the schedule ended that it was made
-- under.
local function checkpoint_state(path, plan)
  local found
  for _, one in ipairs(native.checkpoints.list(path).checkpoints) do
    if one.name == plan.from or (not plan.from and not one.problem and (not found or one.step > found.step)) then
      found = one
    end
  end
  if not found then return nil end
  local state = run_files.read_json(('%s/checkpoints/%s/state.json'):format(path, found.name))
  return { step = found.step, total = state and state.schedule and state.schedule.total or planned_of(path) }
end

-- One curve in one line: the rate at the next update, half way to the longer end, and at the last.
local function curve(trainer, total, at, last)
  local parts = {}
  local middle = math.floor((at + last) / 2)
  for _, update in ipairs(middle > at and middle < last and { at, middle, last } or { at, last }) do
    parts[#parts + 1] = ('%.2g at update %d'):format(trainer:rate(update - 1, total), update)
  end
  return 'lr ' .. table.concat(parts, ', ')
end

---Settles the schedule of a training that goes on with the run at `path`, before anything of the run is touched.
---Raises (exit 3) when its end would move and optim.horizon does not say what is wanted, and when the plan is shorter
---than what was trained.
---@param trainer table
---@param path string
---@param o { optim: table, options: table }
---@return table? event what is recorded of it, nil when nothing changed
function horizon.settle(trainer, path, o)
  local from = checkpoint_state(path, resume.plan())
  if not from then return nil end
  local planned = trainer:planned_steps()
  if planned < from.step then
    fail.config('resume: the plan of %d updates is shorter than the %d that the run has made; give more train.epochs '
      .. 'or train.max_steps, or go back with --from', planned, from.step)
  end
  local was, now = from.total, trainer:horizon()
  if not ENDING[o.optim.schedule] or not was or was == now then return nil end
  local given = o.optim.horizon
  if given == 'keep' then
    trainer:horizon(was)
  elseif given ~= 'stretch' and type(given) ~= 'number' then
    local next_update, last = from.step + 1, math.max(planned, from.step + 1)
    fail.config("resume: the run's %s schedule ends at update %d, with this plan at %d; choose one:\n"
      .. '  optim.horizon=keep      %s\n  optim.horizon=stretch   %s', o.optim.schedule, was, now,
      curve(trainer, was, next_update, last), curve(trainer, now, next_update, last))
  end
  local ends = trainer:horizon()
  local place = ends == was and ('still ends at update %d'):format(ends)
    or ('now ends at update %d (was %d)'):format(ends, was)
  console.note(('%-10s%s %s; %s'):format('schedule', o.optim.schedule, place,
    curve(trainer, ends, from.step + 1, math.max(planned, from.step + 1))))
  return { kind = 'event', event = 'horizon', step = from.step, schedule = o.optim.schedule, was_update = was,
    ends_update = ends, planned_updates = planned, lr_before = trainer:rate(from.step, was),
    lr = trainer:rate(from.step, ends) }
end

return horizon
