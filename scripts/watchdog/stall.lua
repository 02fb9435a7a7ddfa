-- When is silence a stall? (guard G11.) Pure decisions: the caller reads the clock and the run's progress.
--
--   phase                          longest silence
--   load, build, report            watchdog.first_s; so is the time to the end of the first step, and of the first save
--   train                          20 times the slowest of the last 50 steps, at least watchdog.min_s
--   eval                           10 times its slowest batch (or the slowest step), at least watchdog.min_s
--   save                           10 times the slowest save, at least watchdog.min_s
--   done                           none
-- watchdog.stall_s stands in place of all of them.
local stall = {}

local STEP_FACTOR, OTHER_FACTOR = 20, 10
local JUMP_S, JUMP_SHARE = 5, 0.25 -- a longer gap between two looks is the watchdog's own sleep

---How long the process may be silent. Nothing where nothing is expected of it.
---@param config { min_s: number, first_s: number, stall_s: number? }
---@param progress table of host.read_progress
---@return number? budget_s, string? why
function stall.budget(config, progress)
  local phase = progress.phase
  if phase == 'done' then return nil end
  if config.stall_s then return config.stall_s, 'watchdog.stall_s' end
  if progress.steps == 0 or phase == 'load' or phase == 'build' or phase == 'report' then
    return config.first_s, 'watchdog.first_s'
  end
  if phase == 'save' and progress.slowest_save_s == 0 then return config.first_s, 'watchdog.first_s' end
  local factor, slowest, what = STEP_FACTOR, progress.slowest_step_s, 'step'
  if phase == 'save' then
    factor, slowest, what = OTHER_FACTOR, progress.slowest_save_s, 'save'
  elseif phase == 'eval' then
    factor = OTHER_FACTOR
    if progress.slowest_eval_s > slowest then slowest, what = progress.slowest_eval_s, 'eval batch' end
  end
  if factor * slowest <= config.min_s then return config.min_s, 'watchdog.min_s' end
  return factor * slowest, ('%d x slowest %s %.2g s'):format(factor, what, slowest)
end

local Judge = {}
Judge.__index = Judge

---Who looks at the progress now and then.
---@param config table see budget
---@return table judge
function stall.judge(config)
  return setmetatable({ config = config }, Judge)
end

---One look. A verdict when the silence is longer than its budget.
---@param now number seconds of a clock that never goes back
---@param progress table
---@return { waited_s: number, budget_s: number, why: string }? verdict
function Judge:look(now, progress)
  local budget_s, why = stall.budget(self.config, progress)
  local slept = self.seen and now - self.seen > math.max(JUMP_S, JUMP_SHARE * (budget_s or 0))
  self.seen = now
  if progress.counter ~= self.counter or slept then self.counter, self.since = progress.counter, now end
  if not budget_s or now - self.since <= budget_s then return nil end
  return { waited_s = now - self.since, budget_s = budget_s, why = why }
end

---Forgets the silence so far.
function Judge:reset()
  self.counter = nil
end

---Seconds between two looks: some for each budget, none wasted.
---@param config table
---@return number
function stall.period(config)
  local least = config.stall_s or math.min(config.min_s, config.first_s)
  return math.max(0.05, math.min(1, least / 20))
end

---The line that says it all.
---@param verdict table of look
---@param progress table
---@param stacks string? path of the dump
---@return string
function stall.message(verdict, progress, stacks)
  local function seconds(s) return s < 9.95 and ('%.1f s'):format(s) or ('%.0f s'):format(s) end
  return ('G11 stall: no progress for %s in %s at step %d, budget %s (%s); %s; is a callback, a loss, the data or a '
    .. 'disk stuck? to accept: watchdog.min_s=N, watchdog.stall_s=N or watchdog.off=true')
    :format(seconds(verdict.waited_s), progress.phase, progress.step, seconds(verdict.budget_s), verdict.why,
      stacks and 'stacks in ' .. stacks or 'it gave no stacks')
end

---What to do after a stall, from the config and the guard events of earlier ones.
---@param config { on_stall: string, retries: integer }
---@param events table[] lines of metrics.jsonl
---@return "stop"|"resume"
function stall.action(config, events)
  if config.on_stall ~= 'resume' then return 'stop' end
  local used = 0
  for _, line in ipairs(events) do
    if line.event == 'guard' and line.id == 'G11' and line.action == 'resume' then used = used + 1 end
  end
  return used < config.retries and 'resume' or 'stop'
end

return stall
