-- The run directory of one train.fit: claimed before the first step, described, and closed when the command ends.
local sources = require 'boot.sources'
local console = require 'console'
local end_states = require 'runs.end_states'
local fail = require 'fail'
local guard_events = require 'guards.events'
local at_exit = require 'boot.at_exit'
local host = require 'host'
local native = require 'lanthorn'
local resume = require 'fit.resume'
local run_files = require 'runs.files'
local source_texts = require 'runs.source_texts'
local unrecorded = require 'fit.unrecorded'

local fit_run = {}

-- The trainings of a process have numbers, and the id of the first run in common: a script that trains several times is
-- resumed as a whole.
local fits, launch = 0, nil

local RECORDED_ENV = { 'OMP_NUM_THREADS', 'OMP_WAIT_POLICY', 'RUNNER_DATA_DIR', 'RUNNER_RESULTS_DIR',
  'CUDA_VISIBLE_DEVICES' }

---Checksum of the script and its modules as they are loaded now.
---@return string
function fit_run.source_hash()
  return source_texts.hash(source_texts.by_name(sources.files))
end

-- Runs that are claimed and not closed yet.
local open = {}

-- Closes a training that its script left without an end: os.exit in a callback, or a coroutine that nobody went on
-- with.
local function close_when_left(run)
  open[run] = true
  at_exit.add(function(code, how)
    if not open[run] then return end
    local reason = how and ('%s(%d) during the training'):format(how, code)
      or 'the script ended while this training was suspended'
    local state = code == 0 and 'INTERRUPTED' or end_states[code] or 'FAILED'
    console.warn(('run %s is %s: %s'):format(run:path(), state, reason))
    fit_run.close(run, { failed = true, code = code, state = state, reason = reason })
  end)
end

-- A run of its own for a training that begins.
local function claim(about)
  local start = about.launch
  local run = native.run.claim(run_files.root(), start.name)
  console.attach(function(text) run:append_log(text) end)
  run:write_config(about.values, about.origin)
  for name, text in pairs(source_texts.by_name(sources.files)) do run:add_source(name, text) end
  local env = {}
  for _, name in ipairs(RECORDED_ENV) do env[name] = host.getenv(name) end
  local function list(t) return t and #t > 0 and t or nil end -- an empty table would be written as an object
  launch = launch or run:id()
  run:write_manifest {
    name = start.run_name, tags = list(start.tags), argv = list(start.argv),
    overrides = list(start.overrides),
    seed = about.seed, data = list(about.data), first_batch_sha256 = about.first_batch_sha256, batches = about.batches,
    unmanaged_data = about.unmanaged_data, learnable = about.learnable,
    initial_weights_sha256 = about.initial_weights_sha256, machine = { gemm_gflops = about.gemm_gflops },
    world_size = 1, device = about.device, env = env, versions = { luajit = jit.version }, cwd = host.cwd(),
    launch = launch, fit = fits, sweep = start.cell and { name = start.cell.sweep, cell = start.cell.id },
  }
  run:log { kind = 'event', event = 'start', step = 0 }
  return run
end

-- The next attempt of a run that ended or died.
local function reopen(about, path)
  resume.check(path, { values = about.values, source_hash = fit_run.source_hash(),
    first_batch_sha256 = about.first_batch_sha256, data = about.data })
  local moved = about.settle(path)
  local run = native.run.reopen(path)
  console.attach(function(text) run:append_log(text) end)
  return run, moved
end

---The run directory of this train.fit: a new one, that of a run to go on with, or that of one which is finished
---already.
---@param about { unrecorded: boolean?, seed: integer, device: string, data: table[], first_batch_sha256: string,
---batches: integer, unmanaged_data: boolean?, learnable: boolean, initial_weights_sha256: string,
---gemm_gflops: number?, values: table, auto: boolean, in_parts: boolean?, steps: integer,
---settle: fun(path: string): table? }
---@return table? run nil when the training is finished
---@return string? from the folder of the run to go on with, or of the finished one, which has a checkpoint
---@return table? moved what about.settle gave for the run to go on with, for its metrics
function fit_run.open(about)
  if about.unrecorded then
    local run = unrecorded.new()
    guard_events.attach(run)
    return run
  end
  if fit_run.close_finished then fit_run.close_finished(0) end -- the run before this one is over
  fits = fits + 1
  if fits == 1 and not resume.plan() then
    local cell = about.launch.cell
    if cell then
      if cell:run() then resume.set_all(cell:run(), { allow_source_change = true }) end
    elseif about.auto then
      resume.find(about.launch.name, { values = about.values, source_hash = fit_run.source_hash() })
    end
  end
  local plan = resume.plan()
  if plan and about.in_parts then
    fail.raise(5, 'a training of train.start cannot be resumed: what was done by hand is not repeated; fit:restore() '
      .. 'goes back to a checkpoint of the training that is open')
  end
  local from = plan and plan.runs[fits]
  if plan then launch = plan.launch end
  if from and fits < plan.fit then
    if #native.checkpoints.list(from).checkpoints > 0 then return nil, from end
    console.note(('%-10s%s is over, but left no checkpoint: it is trained anew'):format('again', from))
    from = nil
  end
  local run, moved
  if from then run, moved = reopen(about, from) else run = claim(about) end
  if about.launch.cell then about.launch.cell:works_in(run:path()) end
  close_when_left(run)
  -- so that a run which never begins shows its plan
  run:status { state = 'RUNNING', phase = 'build', steps = about.steps }
  guard_events.attach(run)
  return run, from, moved
end

---The last and the best of a training's numbers, for exit.json.
---@param fit table
---@return table
function fit_run.summary(fit)
  local best, last = fit.best, fit.epochs[#fit.epochs]
  if not last then return {} end
  local made = { train_loss = { last = last.train_loss } }
  local best_step = best and best.step
  if last.val_loss then
    made.val_loss = { last = last.val_loss, best = best and best.val_loss, best_step = best_step }
  end
  for name, value in pairs(last.metrics or {}) do
    made['val_' .. name] = { last = value, best = best and best.metrics and best.metrics[name], best_step = best_step }
  end
  if fit.tscore then made.tscore = { last = last.tscore and last.tscore.mean } end
  if fit.selection then
    local touched = fit.selection.touched
    made.touched_pct, made.effective_pct = touched and { last = 100 * touched },
      { last = 100 * fit.selection.effective }
    if fit.host_syncs_per_step then made.host_syncs_per_step = { last = fit.host_syncs_per_step } end
  end
  if fit.noise then made.noise_scale = { last = last.noise and last.noise.scale } end
  return made
end

---Closes the run when the command ends, so that exit.json carries its real exit code; at the prompt, which has no
---end, at once.
---@param run table
---@param outcome { failed: boolean?, error: any, state: string?, reason: string?, code: integer?, signal: integer?,
---summary: table?, at_once: boolean? }
---failed: it raised `error`, or was left; code: of a run that was cut short
function fit_run.close(run, outcome)
  if run.unrecorded then return end
  open[run] = nil
  local message = outcome.error ~= nil and tostring(outcome.error) or ''
  if message == '' and outcome.failed and not outcome.reason then message = 'an error without a message' end
  local function close(code)
    local state = outcome.state or end_states[code] or 'FAILED'
    if code ~= 0 and state == 'FINISHED' then state = 'FAILED' end
    local reason = message ~= '' and message or outcome.reason or ''
    run:finish { state = state, code = code, reason = reason, signal = outcome.signal,
      guards = guard_events.finish(run, reason, message == ''), summary = outcome.summary or {} }
    console.detach()
  end
  -- A run that failed ends now; one that is done ends with its script, whose last words belong to its log.
  if outcome.failed or outcome.code or outcome.at_once then
    return close(outcome.code or outcome.failed and fail.code_of(outcome.error) or 0)
  end
  local function close_once(code)
    if fit_run.close_finished == close_once then
      fit_run.close_finished = nil
      close(code)
    end
  end
  fit_run.close_finished = close_once
  at_exit.add(close_once)
end

return fit_run
