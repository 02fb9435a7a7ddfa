-- train.fit: trains a model, with everything a run needs around the native loop: checks, plan, run directory,
-- callbacks.
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
local json = require 'json'
local limits = require 'fit.limits'
local loop_options = require 'guards.loop_options'
local native = require 'lanthorn'
local nearest = require 'nearest'
local optim = require 'optim'
local parts = require 'fit.parts'
local resume = require 'fit.resume'
local selection = require 'fit.selection'
local specs = require 'config.specs'
local torch = require 'torch'
local vocabulary = require 'fit.vocabulary'

local train = {}

local last_end -- of the train.fit before this one, in this process

local function resolve_device(name)
  local resolved = torch.device(name)
  if name == 'auto' and resolved ~= 'cpu' then console.note('device auto: ' .. resolved) end
  return resolved
end

-- What this start of the runner and the script's config mean for a training. Nothing below asks for them again.
local function read_launch()
  local current = experiment.current()
  local flags, values = current.flags, current.values
  local function section(name) return type(values[name]) == 'table' and values[name] or {} end
  return { name = current.name, run_name = flags.name, tags = flags.tags, argv = current.argv,
    overrides = current.overrides, configured = current.configured, values = values, origin = current.origin,
    is_script = current.script ~= nil, started = current.script and flags.started, fast = flags.fast_dev_run,
    stop_after = flags.stop_after or 0, quiet = flags.quiet or false, gradcheck = flags.gradcheck,
    cell = flags.cell, estimate = flags.estimate,
    declared = { shift = section('data').shift, learnable = section('data').learnable,
      causal = section('model').causal } }
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

---Text drawn from a model after a prompt, which is not part of the result: characters, or words where data.domains
---has a vocabulary of them. Options: prompt, length (in tokens), temperature (0 takes the most likely token), top_k,
---top_p, seed.
---@param model Module
---@param text TextData|DomainData
---@param given { prompt: string, length: integer?, temperature: number?, top_k: integer?, top_p: number?,
---seed: integer? }
---@return string
function train.generate(model, text, given)
  local is_data = type(text) == 'table'
  if is_data and text.vocab_sha256 then vocabulary.check(model, text, 'take the text of the training') end
  return native.train.generate(model, is_data and text.native or text, given)
end

local function make_plan(o, trainer, optimizer, device)
  local launch, first_batch = o.launch, o.data.train:inspect()
  return { name = launch.name, seed = launch.configured and o.options.seed or nil, device = device,
    threads = torch.get_num_threads(), data = o.data, model = o.model, steps = trainer:planned_steps(),
    epochs = o.options.epochs, accumulate = o.options.accumulate, optimizer_name = optimizer:name(),
    optimizer_slots = optimizer:slots_per_element(),
    precision = o.options.precision, emulate = o.options.emulate,
    with_tscore = o.tscore.every > 0, compat = o.tscore.compat,
    eval_batches = fit_report.eval_batches(o.data, o.eval), first_batch = first_batch,
    rate = fit_report.rate(o.data, first_batch) }
end

-- Puts a training where its run's newest checkpoint left it.
local function restore(trainer, run, calls, moved)
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
end

-- The weights of a training that a full or failing disk ended: they need less room than a checkpoint.
local function save_what_there_is(o, run, problem)
  if fail.code_of(problem) ~= 9 or run.unrecorded then return end
  local path = run:path() .. '/model.safetensors'
  local saved, message = pcall(o.model.save, o.model, path)
  console.warn(saved and ('the weights so far are in %s'):format(path)
    or 'the weights could not be saved either: ' .. tostring(message))
end

-- Everything between the claim of the run directory and its end.
local function run_fit(o, trainer, plan, run, from, moved)
  trainer:show_progress(not run.unrecorded and run or nil, {
    terminal = host.isatty(2) and host.getenv('TERM') ~= 'dumb', unicode = encoding.is_unicode(),
    quiet = o.launch.quiet, samples = plan.rate == 'samples' })
  trainer:phase 'build'
  local measured = from and trainer:measure {} or fit_checks.measure(o, trainer, run)
  local lines, total_s = fit_report.measured(plan, measured)
  fit_report.print(lines)
  if o.launch.estimate then
    files.write(o.launch.estimate, json.encode(fit_report.estimate(plan, total_s, o.checkpoint.keep_last)))
    experiment.leave()
  end
  o.data:check_plan(plan, duration.short(total_s))
  local calls = callback_calls.new(o, trainer, run, plan.eval_batches > 0)
  calls:attach()
  trainer:on_warning(function(warning) guard_events.warned(run, warning.message, warning) end)
  trainer:on_rollback(function(rollback) calls:restore(rollback.extra or {}) end)
  if not run.unrecorded then trainer:dump_to(run) end
  calls:all 'on_start'
  if from then restore(trainer, run, calls, moved) end
  if not o.checkpoint.off and not run.unrecorded then
    local every = o.checkpoint.every
    trainer:save_to(run, function() return calls:state() end, {
      every_steps = every.steps, every_s = every.seconds, every_epochs = every.epochs,
      keep_last = o.checkpoint.keep_last, keep_every = o.checkpoint.keep_every })
  end
  run:log { kind = 'event', event = 'ready', startup_s = host.now() - o.began }
  local ok, fit = pcall(trainer.run, trainer)
  if not ok then
    save_what_there_is(o, run, fit)
    error(fit, 0)
  end
  trainer:clear_progress()
  trainer:phase 'save'
  if not run.unrecorded then o.model:save(run:path() .. '/model.safetensors') end
  fit_report.print(fit_report.summary(fit, plan))
  if fit.code == 0 and not o.launch.fast then fit_checks.outcome(o, fit, run) end
  trainer:phase 'report'
  if fit.code == 0 then calls:all('on_end', fit) end
  return fit
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

---Trains a model and leaves a run directory, or none with `run = false`. `loss` is a function (model, x, y), or the
---name of one: cross_entropy (the default), nll, mse, l1, huber, smooth_l1, bce_with_logits; `eval.metrics` names
---what an eval measures beside it. Under `runner resume` and with train.resume='auto' it goes on with an unfinished
---run.
---@param given { model: Module, data: table, loss: (function|string)?, optim: table?, tscore: table?, options: table?,
---callbacks: table?, run: boolean? }
---@return table fit epochs, best, tscore, steps, seconds, run (its folder)
function train.fit(given)
  local launch = read_launch()
  local o = parts.read(given, launch)
  o.began = last_end or launch.started or host.now()
  if launch.estimate then o.run = false end
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
  local run, from, moved = fit_run.open { unrecorded = not o.run, launch = launch, values = values, origin = origin,
    seed = plan.seed, device = device, data = o.data:records(), first_batch_sha256 = plan.first_batch.sha256,
    batches = o.data.train:count(), unmanaged_data = o.data.unmanaged, learnable = learnable, steps = plan.steps,
    initial_weights_sha256 = trainer:weights_sha256(),
    gemm_gflops = not launch.fast and fit_checks.speed(device, o.guards.device_speed) or nil,
    auto = o.options.resume == 'auto', settle = function(path) return horizon.settle(trainer, path, o) end }
  local vocab_sha256 = o.data:vocab_sha256()
  if vocab_sha256 then o.model:vocabulary(vocab_sha256) end
  if not run then return finished(o, trainer, plan, from) end
  local watch = limits.start(trainer, run, launch.is_script and not launch.fast and o.watchdog or { off = true })
  local ok, fit = pcall(run_fit, o, trainer, plan, run, from, moved)
  limits.stop(watch, trainer, ok and fit)
  last_end = host.now()
  if not ok then
    fit_run.close(run, { failed = true, error = fit })
    error(fit, 0)
  end
  if not run.unrecorded then
    fit.run = run:path()
    console.note(('%-10s%s'):format('results', fit.run))
  end
  local cut = fit.code ~= 0
  local pruned = launch.cell and launch.cell.pruned and 'PRUNED' or nil
  fit_run.close(run, { state = cut and fit.state or pruned, reason = fit.reason,
    signal = fit.signal ~= 0 and fit.signal or nil, code = cut and fit.code or nil, summary = fit_run.summary(fit),
    at_once = not launch.is_script })
  if cut then limits.leave(fit) end
  return fit
end

return setmetatable(train, { __index = function(_, name) nearest.missing('train', train, name) end })
