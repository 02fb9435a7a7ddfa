-- One training from its parts to its end: opened (checks, plan, run directory), trained, closed. train.fit does all of
-- it at once, train.start in parts.
local callback_calls = require 'fit.callback_calls'
local callback_updates = require 'guards.callback_updates'
local causality = require 'guards.causality'
local console = require 'console'
local duration = require 'base.duration'
local encoding = require 'base.encoding'
local experiment = require 'experiment'
local fail = require 'fail'
local files = require 'files'
local fit_checks = require 'fit.checks'
local fit_optimizer = require 'fit.optimizer'
local fit_report = require 'fit.report'
local fit_run = require 'fit.run'
local guard_events = require 'guards.events'
local horizon = require 'fit.horizon'
local host = require 'host'
local journal = require 'live.journal'
local json = require 'json'
local limits = require 'fit.limits'
local loop_options = require 'guards.loop_options'
local native = require 'lanthorn'
local optim = require 'optim'
local parts = require 'fit.parts'
local resume = require 'fit.resume'
local run_files = require 'runs.files'
local selection = require 'fit.selection'
local specs = require 'config.specs'
local torch = require 'torch'
local traceback = require 'boot.traceback'
local vocabulary = require 'fit.vocabulary'

local training = {}
training.__index = training

local last_end -- of the training before this one, in this process
local steered -- the one that train.start has open

local function resolve_device(name)
  local resolved = torch.device(name)
  if name == 'auto' and resolved ~= 'cpu' then console.note('device auto: ' .. resolved) end
  return resolved
end

local function build_trainer(o, device)
  local optimizer = fit_optimizer.build(o.model, o.optim)
  if o.select then
    o.selection = optim.select(optimizer, o.model, selection.native_options(o.select, o.options.seed, o.data))
    table.insert(o.callback_list, 1, selection.callback(o.select.log_every))
  end
  local has_val = o.data.val ~= nil and o.data.val:count() > 0
  local trainer = native.train.new {
    model = o.model, train = o.data.train, val = has_val and o.data.val or nil, optimizer = optimizer,
    loss = type(o.loss) == 'function' and function(x, y) return o.loss(o.model, x, y) end or o.loss,
    guards = loop_options.native(o),
    sections = { train = specs.native_part('train', o.options), tscore = specs.native_part('tscore', o.tscore),
      eval = specs.native_part('eval', o.eval), optim = specs.native_part('optim', o.optim) },
    options = { device = device, max_time_s = limits.max_time(o.options), accept_eta = o.options.accept_eta,
      stop_after = o.launch.stop_after, started_s = o.launch.started or host.now(),
      schedule_end = horizon.total(o.optim.horizon) },
  }
  return trainer, optimizer
end

local function make_plan(o, trainer, optimizer, device)
  local launch, first_batch = o.launch, o.data.train:inspect()
  return { name = launch.name, seed = launch.configured and o.options.seed or nil, device = device,
    threads = torch.get_num_threads(), data = o.data, model = o.model, steps = trainer:planned_steps(),
    epochs = o.options.epochs, accumulate = o.options.accumulate, optimizer_name = optimizer:name(),
    optimizer_slots = optimizer:slots_per_element(),
    precision = o.options.precision, emulate = o.options.emulate, recompute = o.options.recompute,
    with_tscore = o.tscore.every > 0, compat = o.tscore.compat,
    eval_batches = fit_report.eval_batches(o.data, o.eval), first_batch = first_batch,
    rate = fit_report.rate(o.data, first_batch) }
end

-- What this command changes for the rest of a run counts more than what was changed by hand before.
local function keep_asked(trainer, run, o)
  local config = run_files.read_json(run:path() .. '/config.json') or {}
  local before = type(config.values) == 'table' and config.values.train or {}
  local now = trainer:tuning().train
  for _, key in ipairs { 'epochs', 'max_steps' } do
    local asked = before[key] ~= nil and o.options[key] ~= before[key]
    if asked and now[key] ~= o.options[key] then
      trainer:tune { train = { [key] = o.options[key] } }
    end
  end
end

-- Puts a training where its run's newest checkpoint left it.
local function restore(o, trainer, run, calls, moved)
  local plan = resume.plan()
  if not plan.from and #native.checkpoints.list(run:path()).checkpoints == 0 then
    run:log { kind = 'event', event = 'resume', step = 0, attempt_n = run:attempt() }
    console.note(('%-10s%s has no checkpoint yet: from the beginning, attempt %d'):format('resumed', run:path(),
      run:attempt()))
    return
  end
  local restored = trainer:restore(run:path(), plan.from)
  run:log { kind = 'event', event = 'resume', step = restored.step, checkpoint = restored.checkpoint,
    attempt_n = run:attempt(), passed_over = #restored.passed_over > 0 and restored.passed_over or nil,
    set_aside = #restored.set_aside > 0 and restored.set_aside or nil }
  if moved then run:log(moved) end
  run:status { step = restored.step, last_checkpoint = restored.checkpoint }
  for _, why in ipairs(restored.passed_over) do console.warn('warning: passed over ' .. why) end
  console.note(('%-10s%s of %s, attempt %d%s'):format('resumed', restored.checkpoint, run:path(), run:attempt(),
    restored.note ~= '' and '; ' .. restored.note or ''))
  calls:restore(restored.extra or {})
  keep_asked(trainer, run, o)
end

-- The weights of a training that a full or failing disk ended: they need less room than a checkpoint.
local function save_what_there_is(o, run, problem)
  if fail.code_of(problem) ~= 9 or run.unrecorded then return end
  local path = run:path() .. '/model.safetensors'
  local saved, message = pcall(o.model.save, o.model, path)
  console.warn(saved and ('the weights so far are in %s'):format(path)
    or 'the weights could not be saved either: ' .. tostring(message))
end

-- The folder of a run that is over, as callbacks see a run: nothing more is written there.
local function closed_run(path)
  local known = { path = function() return path end, id = function() return path:match '[^/]*$' end }
  return setmetatable(known, { __index = function() return function() end end })
end

-- A training of this launch that is over: its end is loaded, and callbacks that can be restored say again what they
-- said of it in `fit`.
local function finished(o, trainer, plan, path)
  local fit, extra = trainer:finished(path)
  local calls = callback_calls.new(o, trainer, closed_run(path), plan.eval_batches > 0)
  calls:again 'on_start'
  calls:restore(extra or {})
  calls:again('on_end', fit)
  trainer:close()
  fit.run = path
  console.note(('%-10s%s: %d updates, loaded'):format('finished', path, fit.steps))
  return fit
end

---Checks and plans a training, and takes its run directory.
---@param given table what train.fit was called with
---@param launch table what the start of the runner and the config mean for it
---@param in_parts? boolean it is steered by hand
---@return table training with `fit` where it was finished already
function training.open(given, launch, in_parts)
  if steered and not steered.trainer:is_idle() then
    fail.raise(1, 'a training cannot begin in the middle of an update of %s, which train.start has open',
      steered.run:path() or 'another')
  end
  if steered then steered:leave 'another training began' end
  local o = parts.read(given, launch, in_parts and 'train.start' or 'train.fit')
  o.began = last_end or launch.started or host.now()
  if launch.estimate then o.run = false end
  if launch.project then require('fit.projecting').prepare(o, launch.project, in_parts) end
  local judged = launch.cell and launch.cell:callback()
  if judged then table.insert(o.callback_list, 1, judged) end
  if launch.gradcheck then
    require('guards.gradients').run(o)
    experiment.leave()
  end
  local device = resolve_device(o.options.device)
  if not o.options.allow_vocabulary then
    vocabulary.check(o.model, o.data, 'train.allow_vocabulary=true goes on from them all the same')
  end
  o.model:to(device)
  local trainer, optimizer = build_trainer(o, device)
  local plan = make_plan(o, trainer, optimizer, device)
  guard_events.begin(o.guards)
  loop_options.record(o)
  experiment.stop_if_dry_run(fit_report.sizes(plan))
  experiment.check_reads()
  console.note(fit_report.heading(plan))
  fit_report.print(fit_report.sizes(plan))
  fit_checks.reachable(o.callback_list, o.data.train:rows() * o.options.accumulate, o.guards.reachable)
  callback_updates.check(o.callback_list, o.model)
  fit_checks.leak(o.data, plan.eval_batches > 0)
  causality.check(o, launch.declared)
  local learnable = fit_checks.learnable(o.data, launch.declared.learnable)
  local values, origin = parts.config(o)
  if launch.sample then
    local path = require('fit.sampling').take(o, launch.sample, { values = values, data = o.data:records(),
      first_batch_sha256 = plan.first_batch.sha256 })
    return setmetatable({ fit = finished(o, trainer, plan, path) }, training)
  end
  local run, from, moved = fit_run.open { unrecorded = not o.run, launch = launch, values = values, origin = origin,
    seed = plan.seed, device = device, data = o.data:records(), first_batch_sha256 = plan.first_batch.sha256,
    batches = o.data.train:count(), unmanaged_data = o.data.unmanaged, learnable = learnable, steps = plan.steps,
    initial_weights_sha256 = trainer:weights_sha256(),
    gemm_gflops = not launch.fast and fit_checks.speed(device, o.guards.device_speed) or nil, in_parts = in_parts,
    auto = o.options.resume == 'auto', settle = function(path) return horizon.settle(trainer, path, o) end }
  local vocab_sha256 = o.data:vocab_sha256()
  if vocab_sha256 then o.model:vocabulary(vocab_sha256) end
  o.model:forward_check '' -- of weights that now change
  local self = setmetatable({ o = o, trainer = trainer, plan = plan, run = run, from = from, moved = moved,
    in_parts = in_parts }, training)
  if not run then
    self.fit = finished(o, trainer, plan, from)
    return self
  end
  local watched = launch.is_script and not launch.fast and not in_parts
  self.watch = limits.start(trainer, run, watched and o.watchdog or { off = true }, not in_parts)
  if in_parts then steered = self end
  return self
end

---What goes before the first update: it is measured, callbacks hear of the start, an unfinished run is restored.
function training:prepare()
  local o, trainer, plan, run = self.o, self.trainer, self.plan, self.run
  trainer:show_progress(not run.unrecorded and run or nil, {
    terminal = host.isatty(2) and host.getenv('TERM') ~= 'dumb', unicode = encoding.is_unicode(),
    quiet = o.launch.quiet, samples = plan.rate == 'samples' })
  trainer:phase 'build'
  local measured = self.from and trainer:measure {} or fit_checks.measure(o, trainer, run)
  local lines, total_s = fit_report.measured(plan, measured)
  fit_report.print(lines)
  if o.launch.estimate then
    files.write(o.launch.estimate, json.encode(fit_report.estimate(plan, total_s, o.checkpoint.keep_last)))
    experiment.leave()
  end
  o.data:check_plan(plan, duration.short(total_s))
  local calls = callback_calls.new(o, trainer, run, plan.eval_batches > 0)
  self.calls = calls
  calls:attach()
  trainer:on_warning(function(warning) guard_events.warned(run, warning.message, warning) end)
  trainer:on_rollback(function(rollback) calls:restore(rollback.extra or {}) end)
  if not run.unrecorded then trainer:dump_to(run) end
  calls:all 'on_start'
  if self.from then
    restore(o, trainer, run, calls, self.moved)
    self.interventions = journal.count(self.from)
    if self.interventions > 0 then run:status { interventions = self.interventions } end
  end
  if not o.checkpoint.off and not run.unrecorded then
    local every = o.checkpoint.every
    trainer:save_to(run, function() return calls:state() end, {
      every_steps = every.steps, every_s = every.seconds, every_epochs = every.epochs,
      keep_last = o.checkpoint.keep_last, keep_every = o.checkpoint.keep_every })
  end
  if not run.unrecorded and not o.launch.fast then require('attach.answers').listen(self) end
  run:log { kind = 'event', event = 'ready', startup_s = host.now() - o.began }
end

---Calls a function that trains. When it fails the weights are saved if the disk has room for them alone.
---@param f function
---@return table fit
function training:attempt(f, ...)
  local ok, fit = pcall(f, self.trainer, ...)
  if ok then return fit end
  save_what_there_is(self.o, self.run, fit)
  return error(fit, 0)
end

---What goes behind the last update: the model is saved, the end is told.
---@param fit table
function training:conclude(fit)
  local o, trainer, run = self.o, self.trainer, self.run
  trainer:clear_progress()
  trainer:phase 'save'
  if not run.unrecorded then o.model:save(run:path() .. '/model.safetensors') end
  fit_report.print(fit_report.summary(fit, self.plan))
  if fit.code == 0 and not o.launch.fast and not self.left then fit_checks.outcome(o, fit, run) end
  trainer:phase 'report'
  if fit.code == 0 then self.calls:all('on_end', fit) end
end

---Ends a training that came to its end, or raised.
---@param ok boolean
---@param fit any the result, or what was raised
---@return table fit
function training:close(ok, fit)
  local run, launch = self.run, self.o.launch
  if steered == self then steered = nil end
  limits.stop(self.watch, self.trainer, ok and fit)
  last_end = host.now()
  if not ok then
    fit_run.close(run, { failed = true, error = fit })
    self.fit = self.trainer:so_far()
    self.fit.state, self.fit.reason, self.fit.code = 'FAILED', traceback.message(fit), fail.code_of(fit)
    error(fit, 0)
  end
  if not run.unrecorded then
    fit.run = run:path()
    console.note(('%-10s%s'):format('results', fit.run))
  end
  local cut = fit.code ~= 0
  local other = self.left and 'INTERRUPTED' or launch.cell and launch.cell.pruned and 'PRUNED' or nil
  fit_run.close(run, { state = cut and fit.state or other, reason = fit.reason,
    signal = fit.signal ~= 0 and fit.signal or nil, code = cut and fit.code or nil, summary = fit_run.summary(fit),
    at_once = self.in_parts or not launch.is_script })
  self.fit = fit
  setmetatable(fit, { __show = function() return table.concat(fit_report.summary(fit, self.plan), '\n') end })
  if cut then limits.leave(fit) end
  return fit
end

---Everything at once.
---@return table fit
function training:complete()
  local project = self.o.launch.project
  if project then require('fit.projecting').take(self, project) end -- leaves the script
  return self:close(pcall(function()
    self:prepare()
    local fit = self:attempt(self.trainer.run)
    self:conclude(fit)
    return fit
  end))
end

---Ends a training in parts, at its end or where it stands.
---@return table fit
function training:finish()
  return self:close(pcall(function()
    local fit = self:attempt(self.trainer.finish)
    self:conclude(fit)
    return fit
  end))
end

---Leaves a training in parts before its end: it is saved and closed as it is.
---@param why string
---@return table fit
function training:leave(why)
  local fit = self.trainer:so_far()
  self.left = true
  self.trainer:stop(('%s after %d of %d updates'):format(why, fit.steps, self.trainer:planned_steps()))
  return self:finish()
end

---The training that train.start has open.
---@return table?
function training.steered() return steered end

return training
