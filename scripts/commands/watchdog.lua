-- runner watchdog: looks after one run and ends it when it hangs. train.fit starts it; its stdin ends with that
-- process. Should the process have become another program (exec), it closes the run, which nobody else can.
local dkjson = require 'dkjson'
local fail = require 'fail'
local host = require 'host'
local run_files = require 'runs.files'
local stall = require 'watchdog.stall'
local close_run = require 'watchdog.close_run'

local watchdog = { summary = 'Look after a run (started by train.fit).', hidden = true }

-- The pipe's end is closed by an exec too, and the process goes on under the same number.
local function close_abandoned(args)
  if run_files.is_runner(args.pid) ~= false then return end
  local progress = host.read_progress(args.run .. '/.progress')
  if progress and progress.pid ~= args.pid then return end
  local program = host.realpath(('/proc/%d/exe'):format(args.pid))
  host.close_run(args.run, dkjson.encode { state = 'FAILED', code = 1, step = progress and progress.step,
    phase = progress and progress.phase,
    reason = ('the process of the run became another program (exec of %s)'):format(program) })
end

function watchdog.configure(parser)
  parser:option '--pid':convert(tonumber):description 'The process of the run.'
  parser:option '--run':description 'Its run directory.'
  for _, name in ipairs { 'min-s', 'first-s', 'stall-s', 'grace-s', 'retries' } do
    parser:option('--' .. name):convert(tonumber)
  end
  parser:option '--on-stall'
end

function watchdog.run(args)
  if not args.pid or not args.run or not args.min_s or not args.first_s then
    fail.usage('watchdog: train.fit starts it; there is nothing to do by hand')
  end
  local config = { min_s = args.min_s, first_s = args.first_s, stall_s = args.stall_s, grace_s = args.grace_s,
    retries = args.retries, on_stall = args.on_stall }
  local judge, period = stall.judge(config), stall.period(config)
  while not host.line_ended(period) do
    local progress = host.read_progress(args.run .. '/.progress')
    -- The file of another process: the run goes on elsewhere. A folder that is gone needs nobody.
    if progress and progress.pid ~= args.pid or not progress and not host.stat(args.run) then return 0 end
    local verdict = progress and judge:look(host.now(), progress)
    if verdict and close_run.is_debugged(args.pid) then
      judge:reset()
    elseif verdict then
      return close_run.run(args, config, progress, verdict)
    end
  end
  close_abandoned(args)
  return 0
end

return watchdog
