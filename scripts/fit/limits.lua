-- What ends a train.fit from outside, and who watches it: signals, the time limit, the watchdog.
local console = require 'console'
local duration = require 'base.duration'
local fail = require 'fail'
local watchdog = require 'watchdog.start'

local limits = {}

---Seconds of train.max_time; 0 for none. Raises on a malformed duration.
---@param o table the section `train`
---@return number
function limits.max_time(o)
  if o.max_time == nil then return 0 end
  local seconds, message = duration.seconds(o.max_time)
  if not seconds then fail.config('train.max_time: %s', message) end
  return seconds
end

---Begins to listen to signals and to tell .progress, and starts the watchdog.
---@param trainer table
---@param run table
---@param config table the section `watchdog`
---@param signals boolean whether they ask the training for its end
---@return table? dog for stop
function limits.start(trainer, run, config, signals)
  if run.unrecorded then return trainer:watch(nil, signals) end
  local problem = trainer:watch(run, signals)
  if problem then
    console.warn('warning: no watchdog: ' .. problem)
    return nil
  end
  return watchdog.start(run, config)
end

---Ends all of it. A signal that came when the loop had ended counts as one at its end.
---@param dog table?
---@param trainer table
---@param fit table? what the loop gave; nothing after an error
function limits.stop(dog, trainer, fit)
  local late = trainer:stop_requested()
  trainer:close()
  watchdog.stop(dog)
  if not fit or not late or fit.code ~= 0 then return end
  fit.state, fit.code, fit.signal = late.state, late.code, late.signal
  fit.reason = ('%s after the last of %d updates'):format(late.name, fit.steps)
end

---Leaves the script of a run that was cut short, with the exit code it has.
---@param fit table
function limits.leave(fit)
  local so_far = fit.run and '; the model so far is in ' .. fit.run or ''
  if fit.state == 'INTERRUPTED' then
    fail.raise(fit.code, 'interrupted by signal %d after %d updates%s', fit.signal, fit.steps, so_far)
  end
  fail.raise(fit.code, '%s%s', fit.reason, so_far)
end

return limits
