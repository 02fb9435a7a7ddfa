-- train.fit: trains a model, with everything a run needs around the native loop: checks, plan, run directory, callbacks.
local callback_cost = require 'guards.callback_cost'
local callbacks = require 'fit.callbacks'
local causality = require 'guards.causality'
local console = require 'console'
local encoding = require 'base.encoding'
local experiment = require 'experiment'
local fail = require 'fail'
local fit_checks = require 'fit.checks'
local callback_context = require 'fit.callback_context'
local guard_events = require 'guards.events'
local fit_report = require 'fit.report'
local fit_run = require 'fit.run'
local limits = require 'fit.limits'
local guards = require 'guards.registry'
local horizon = require 'fit.horizon'
local host = require 'host'
local loop_options = require 'guards.loop_options'
local native = require 'lanthorn'
local nearest = require 'nearest'
local callback_updates = require 'guards.callback_updates'
local options = require 'options'
local pretty = require 'pretty'
local optim = require 'optim'
local lua_random = require 'fit.lua_random'
local resume = require 'fit.resume'
local selection = require 'fit.selection'
local specs = require 'config.specs'
local torch = require 'torch'
local vocabulary = require 'fit.vocabulary'

local train = {}

local last_end -- of the train.fit before this one, in this process

local FIT = { model = 'Module', data = 'table', loss = 'function|string?', optim = { 'table', {} }, tscore = { 'table', {} },
  options = { 'table', {} }, select = 'table?', eval = 'table?', guards = 'table?', checkpoint = 'table?', watchdog = 'table?',
  callbacks = { 'list', {} }, run = { 'boolean', true } }

local CHECKPOINT_EVERY = { steps = { 'int', 0, min = 0 }, seconds = { 'number', 600, min = 0 },
  epochs = { 'int', 1, min = 0 } }

-- Keys of the optim section that the loop uses; the rest goes to the optimiser.
local LOOP_KEYS = { name = true, clip_norm = true, clip_value = true, schedule = true, warmup = true, decay_every = true, gamma = true,
  min_factor = true, groups = true, horizon = true }

local function optimizer_options(o)
  local made = {}
  for key, value in pairs(o) do
    if not LOOP_KEYS[key] then made[key] = value end
  end
  return made
end

-- Parameters by the first group whose pattern their name matches; the rest makes the first group.
local function build_groups(model, groups)
  local rest, made = {}, {}
  for i, group in ipairs(groups) do
    if type(group) ~= 'table' or type(group.match) ~= 'string' then fail.config("optim.groups[%d] needs a Lua pattern in 'match'", i) end
    made[i] = { params = {} }
    for key, value in pairs(group) do
      if key ~= 'match' then made[i][key] = value end
    end
  end
  for _, parameter in ipairs(model:named_parameters()) do
    local place = rest
    for i, group in ipairs(groups) do
      if parameter.name:match(group.match) then
        place = made[i].params
        break
      end
    end
    place[#place + 1] = parameter
  end
  for i, group in ipairs(made) do
    if #group.params == 0 then fail.config("optim.groups[%d]: no parameter matches '%s'", i, groups[i].match) end
  end
  if #rest > 0 then table.insert(made, 1, { params = rest }) end
  return made
end

local function build_optimizer(model, o)
  local target, names = o.groups and build_groups(model, o.groups) or model, {}
  for i, kind in ipairs(optim.names()) do
    names[i] = kind:lower()
    if names[i] == o.name:lower() then return optim[kind](target, optimizer_options(o)) end
  end
  table.sort(names)
  return fail.config("optim.name '%s' is not known%s; use one of %s", o.name, nearest.hint(o.name, names),
    table.concat(names, ', '))
end

local function resolve_device(name)
  local resolved = torch.device(name)
  if name == 'auto' and resolved ~= 'cpu' then console.note('device auto: ' .. resolved) end
  return resolved
end

local function initial_loss(o, data)
  if o.guards.init_loss == 'off' then return {} end
  if o.options.expect_loss then return { expected = o.options.expect_loss } end
  return data.vocab_size and { expected = math.log(data.vocab_size) } or {}
end

-- Reads the parts of a fit, with the sections of the config where the call leaves them out.
local function read(given)
  local o = options.check('train.fit', given, FIT)
  local current = experiment.current()
  local values = current.values
  if not current.configured and o.options.seed then
    fail.config('train.fit: options.seed comes too late for the weights of the model; call torch.manual_seed(%s) before making it, '
      .. 'or declare train.seed in experiment.config', tostring(o.options.seed))
  end
  o.optim = options.check('train.fit optim', o.optim, specs.optim)
  o.tscore = options.check('train.fit tscore', o.tscore, specs.tscore)
  o.select = o.select and options.check('train.fit select', o.select, specs.select)
  local seed = o.options.seed
  o.options = options.check('train.fit options', o.options, specs.train)
  -- Without a seed of its own a training has that of the config, which drew the weights.
  if current.configured and not seed and type(values.train) == 'table' then o.options.seed = values.train.seed or o.options.seed end
  o.eval = options.check('train.fit eval', o.eval or values.eval or {}, specs.eval)
  o.guards = options.check('train.fit guards', o.guards or values.guards or {}, specs.guards)
  o.checkpoint = options.check('train.fit checkpoint', o.checkpoint or values.checkpoint or {}, specs.checkpoint)
  o.checkpoint.every = options.check('train.fit checkpoint.every', o.checkpoint.every, CHECKPOINT_EVERY)
  o.watchdog = options.check('train.fit watchdog', o.watchdog or values.watchdog or {}, specs.watchdog)
  if type(o.loss) == 'string' then native.train.check_loss(o.loss) end
  if type(o.data.train) ~= 'userdata' then
    fail.config('train.fit: data must be what a function of the data module gives, such as data.text')
  end
  local fast = experiment.current().flags.fast_dev_run
  if fast then
    o.options.epochs, o.options.max_steps, o.eval.val_cap = 1, fast, fast
  end
  o.began = last_end or current.script and current.flags.started or host.now()
  o.callback_list = {}
  for i, callback in ipairs(o.callbacks) do o.callback_list[i] = callbacks.resolve(callback) end
  return o
end

local function build_trainer(o, device)
  local current = experiment.current()
  local optimizer = build_optimizer(o.model, o.optim)
  if o.select then
    o.selection = optim.select(optimizer, o.model, selection.native_options(o.select, o.options.seed, o.data))
    table.insert(o.callback_list, 1, selection.callback(o.select.log_every))
  end
  local has_val = o.data.val ~= nil and o.data.val:count() > 0
  local trainer = native.train.new {
    model = o.model, train = o.data.train, val = has_val and o.data.val or nil, optimizer = optimizer,
    loss = type(o.loss) == 'function' and function(x, y) return o.loss(o.model, x, y) end or o.loss,
    schedule = { name = o.optim.schedule, warmup = o.optim.warmup, total = horizon.total(o.optim.horizon),
      every = o.optim.decay_every, gamma = o.optim.gamma, min_factor = o.optim.min_factor },
    guards = loop_options.native(o),
    sections = { train = specs.native_part('train', o.options), tscore = specs.native_part('tscore', o.tscore),
      eval = specs.native_part('eval', o.eval), optim = specs.native_part('optim', o.optim) },
    options = { device = device, max_time_s = limits.max_time(o.options), accept_eta = o.options.accept_eta,
      stop_after = current.flags.stop_after or 0, started_s = current.script and current.flags.started or host.now() },
  }
  return trainer, optimizer
end

---Text drawn from a model after a prompt, which is not part of the result: characters, or words where data.domains has a vocabulary of
---them. Options: prompt, length (in tokens), temperature (0 takes the most likely token), top_k, top_p, seed.
---@param model Module
---@param text TextData|DomainData
---@param given { prompt: string, length: integer?, temperature: number?, top_k: integer?, top_p: number?, seed: integer? }
---@return string
function train.generate(model, text, given)
  vocabulary.check(model, text, 'take the text of the training')
  return native.train.generate(model, type(text) == 'table' and text.native or text, given)
end

local function make_plan(o, trainer, optimizer, device)
  local current, first_batch = experiment.current(), o.data.train:inspect()
  return { name = current.name, seed = current.configured and o.options.seed or nil, device = device,
    threads = torch.get_num_threads(), data = o.data, model = o.model, steps = trainer:planned_steps(),
    epochs = o.options.epochs, accumulate = o.options.accumulate, optimizer_name = optimizer:name(),
    optimizer_slots = optimizer:slots_per_element(),
    precision = o.options.precision, emulate = o.options.emulate,
    with_tscore = o.tscore.every > 0, compat = o.tscore.compat,
    eval_batches = fit_report.eval_batches(o.data, o.eval), first_batch = first_batch,
    rate = fit_report.rate(o.data, first_batch) }
end

-- Stride 1 multiplies the batches: its price is told, and asked for once more.
local function check_overlap(o, plan, total_s)
  if o.data.layout ~= 'overlap' or o.data.options.allow_overlap then return end
  fail.raise(7, 'G13 budget: stride 1 makes %s train and %s val batches an epoch, %s updates over %d epochs, about %s at the '
    .. 'measured step; stride %d would make %s batches; to go on set data.allow_overlap=true', pretty.count(o.data.train:count()),
    pretty.count(o.data.val:count()), pretty.count(plan.steps), plan.epochs, fit_report.duration(total_s), o.data.options.seq,
    pretty.count(math.floor(o.data.train:count() / o.data.options.seq)))
end

local function data_record(data)
  if data.kind == 'domains' then
    local records, vocab_sha256 = {}, vocabulary.of(data)
    for i, one in ipairs(data.info) do
      records[i] = { name = one.name, bytes = one.bytes, sha256 = 'sha256:' .. one.sha256, vocab_size = data.vocab_size,
        vocab_sha256 = vocab_sha256, train_n = one.train_tokens, val_n = one.val_tokens,
        unknown_pct = data.options.words > 0 and { train = 100 * one.train_unknown, val = 100 * one.val_unknown } or nil }
    end
    return records
  end
  if data.files then
    local records = {}
    for i, file in ipairs(data.files) do records[i] = { name = file.name, bytes = file.bytes, sha256 = 'sha256:' .. file.sha256 } end
    return records
  end
  if data.kind ~= 'text' then return {} end
  return { { name = data.name, bytes = data.native.bytes, sha256 = 'sha256:' .. data.sha256, vocab_size = data.vocab_size,
    vocab_sha256 = vocabulary.of(data), train_n = data.train:samples(), val_n = data.val:samples() } }
end

-- The context of each callback, by its place.
local function make_contexts(o, trainer, run, plan)
  local shared, contexts = callback_context.new(o, trainer, run, plan.eval_batches > 0), {}
  for i, callback in ipairs(o.callback_list) do contexts[i] = callback_context.of(shared, callback, i) end
  return contexts
end

-- Calls of callbacks are timed (G38), and those that declare to update weights are looked at (G18).
local function attach_callbacks(o, trainer, contexts, run)
  local budget = callback_cost.new(o.guards.overhead, run)
  for i, callback in ipairs(o.callback_list) do
    local label = callbacks.label(callback, i)
    local function calling(name)
      local call = budget:timed(callback, label, function(record) return callback[name](contexts[i], record) end)
      return callback_updates.event(callback) == name and callback_updates.bracket(callback, label, o.model, run, call) or call
    end
    if callback.before_update then trainer:before_update(calling 'before_update') end
    if callback.on_step then trainer:on_step(callback.every or 1, calling 'on_step') end
    if callback.on_epoch then trainer:on_epoch(calling 'on_epoch') end
  end
end

local function call_all(o, name, contexts, ...)
  for i, callback in ipairs(o.callback_list) do
    if callback[name] then callback[name](contexts[i], ...) end
  end
end

local function summary_of(fit)
  local best, last = fit.best, fit.epochs[#fit.epochs]
  if not last then return {} end
  local made = { train_loss = { last = last.train_loss } }
  if last.val_loss then made.val_loss = { last = last.val_loss, best = best and best.val_loss, best_step = best and best.step } end
  for name, value in pairs(last.metrics or {}) do
    made['val_' .. name] = { last = value, best = best and best.metrics and best.metrics[name], best_step = best and best.step }
  end
  if fit.tscore then made.tscore = { last = last.tscore and last.tscore.mean } end
  if fit.selection then
    local touched = fit.selection.touched
    made.touched_pct, made.effective_pct = touched and { last = 100 * touched }, { last = 100 * fit.selection.effective }
    if fit.host_syncs_per_step then made.host_syncs_per_step = { last = fit.host_syncs_per_step } end
  end
  if fit.noise then made.noise_scale = { last = last.noise and last.noise.scale } end
  return made
end

-- The first batch, timed. Under guards.init_loss=warn a start that G05 refuses is told and recorded, and training goes on.
local function measure(o, trainer, run)
  local wanted = initial_loss(o, o.data)
  if o.guards.init_loss ~= 'warn' then return trainer:measure(wanted) end
  local ok, result = pcall(trainer.measure, trainer, wanted)
  if ok then return result end
  local guard = guards.speaker(tostring(result))
  if not guard or guard.id ~= 'G05' then error(result, 0) end
  guard_events.warned(run, tostring(result))
  return trainer:measure {}
end

-- What checkpoints keep of the Lua side.
local function extra_state(o, contexts)
  local kept = {}
  for i, callback in ipairs(o.callback_list) do
    kept[i] = { name = callback.name or ('callback ' .. i), saved = callback.save and callback.save(contexts[i]) or nil }
  end
  return { callbacks = #kept > 0 and kept or nil, lua_random = lua_random.get() }
end

-- Gives callbacks and Lua's random numbers back what a checkpoint keeps of them.
local function restore_extra(o, contexts, extra)
  if extra.lua_random then lua_random.set(extra.lua_random) end
  for i, kept in ipairs(extra.callbacks or {}) do
    local callback = o.callback_list[i]
    local name = callback and (callback.name or ('callback ' .. i))
    if name ~= kept.name then
      fail.raise(5, "resume: callback %d is '%s', the checkpoint has '%s'; the same callbacks must be given in the same order", i,
        tostring(name), kept.name)
    end
    if kept.saved and callback.restore then callback.restore(contexts[i], kept.saved) end
  end
end

-- Puts a training where its run's newest checkpoint left it.
local function restore(o, trainer, run, contexts, moved)
  local plan = resume.plan()
  if not plan.from and #native.checkpoints.list(run:path()).checkpoints == 0 then
    run:log { kind = 'event', event = 'resume', step = 0, attempt_n = run:attempt() }
    console.note(('%-10s%s has no checkpoint yet: from the beginning, attempt %d'):format('resumed', run:path(), run:attempt()))
    return
  end
  local restored = trainer:restore(run:path(), plan.from)
  run:log { kind = 'event', event = 'resume', step = restored.step, checkpoint = restored.checkpoint, attempt_n = run:attempt(),
    passed_over = #restored.passed_over > 0 and restored.passed_over or nil,
    set_aside = #restored.set_aside > 0 and restored.set_aside or nil }
  if moved then run:log(moved) end
  run:status { step = restored.step, last_checkpoint = restored.checkpoint }
  for _, why in ipairs(restored.passed_over) do console.warn('warning: passed over ' .. why) end
  console.note(('%-10s%s of %s, attempt %d%s'):format('resumed', restored.checkpoint, run:path(), run:attempt(),
    restored.note ~= '' and '; ' .. restored.note or ''))
  restore_extra(o, contexts, restored.extra or {})
end

-- The weights of a training that a full or failing disk ended: they need less room than a checkpoint.
local function save_what_there_is(o, run, problem)
  if fail.code_of(problem) ~= 9 or run.unrecorded then return end
  local path = run:path() .. '/model.safetensors'
  local saved, message = pcall(o.model.save, o.model, path)
  console.warn(saved and ('the weights so far are in %s'):format(path) or 'the weights could not be saved either: ' .. tostring(message))
end

-- Everything between the claim of the run directory and its end.
local function run_fit(o, trainer, plan, run, from, moved)
  local flags = experiment.current().flags
  trainer:show_progress(not run.unrecorded and run or nil, { terminal = host.isatty(2) and host.getenv('TERM') ~= 'dumb',
    unicode = encoding.is_unicode(), quiet = flags.quiet or false, samples = plan.rate == 'samples' })
  trainer:phase 'build'
  local measured = from and trainer:measure {} or measure(o, trainer, run)
  local lines, total_s = fit_report.measured(plan, measured)
  fit_report.print(lines)
  check_overlap(o, plan, total_s)
  local contexts = make_contexts(o, trainer, run, plan)
  attach_callbacks(o, trainer, contexts, run)
  trainer:on_warning(function(warning) guard_events.warned(run, warning.message, warning) end)
  trainer:on_rollback(function(rollback) restore_extra(o, contexts, rollback.extra or {}) end)
  if not run.unrecorded then trainer:dump_to(run) end
  call_all(o, 'on_start', contexts)
  if from then restore(o, trainer, run, contexts, moved) end
  if not o.checkpoint.off and not run.unrecorded then
    local every = o.checkpoint.every
    trainer:save_to(run, function() return extra_state(o, contexts) end, {
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
  if fit.code == 0 then fit_checks.outcome(o, fit, run) end
  trainer:phase 'report'
  if fit.code == 0 then call_all(o, 'on_end', contexts, fit) end
  return fit
end

-- The folder of a run that is over, as callbacks see a run: nothing more is written there.
local function closed_run(path)
  return setmetatable({ path = function() return path end, id = function() return path:match '[^/]*$' end }, { __index = function()
    return function() end
  end })
end

-- A training of this launch that is over: its end is loaded, and callbacks that can be restored say again what they said of it in `fit`.
local function finished(o, trainer, plan, path)
  local fit, extra = trainer:finished(path)
  local contexts = make_contexts(o, trainer, closed_run(path), plan)
  for _, context in ipairs(contexts) do context.print = function() end end
  local function call_restorable(name, ...)
    for i, callback in ipairs(o.callback_list) do
      if callback.restore and callback[name] then callback[name](contexts[i], ...) end
    end
  end
  call_restorable 'on_start'
  restore_extra(o, contexts, extra or {})
  call_restorable('on_end', fit)
  trainer:close()
  fit.run = path
  console.note(('%-10s%s: %d updates, loaded'):format('finished', path, fit.steps))
  return fit
end

-- The config with the options that this training really has: a script may give others than its config holds.
local function effective_config(o)
  local current = experiment.current()
  local values, origin = {}, {}
  for key, value in pairs(current.values) do values[key] = value end
  for path, source in pairs(current.origin) do origin[path] = source end
  for section, used in pairs { optim = o.optim, tscore = o.tscore, train = o.options, eval = o.eval, guards = o.guards,
    checkpoint = o.checkpoint, watchdog = o.watchdog, select = o.select } do
    local known, merged = type(values[section]) == 'table' and values[section] or {}, {}
    for key, value in pairs(known) do merged[key] = value end
    for key, value in pairs(used) do
      local path = section .. '.' .. key
      if type(value) ~= 'table' and known[key] ~= value then origin[path] = known[key] == nil and 'default' or 'script' end
      merged[key] = value
    end
    values[section] = merged
  end
  return values, origin
end

---Trains a model and leaves a run directory, or none with `run = false`. `loss` is a function (model, x, y), or the name of one:
---cross_entropy (the default), nll, mse, l1, huber, smooth_l1, bce_with_logits; `eval.metrics` names what an eval measures beside it.
---Under `runner resume` and with train.resume='auto' it goes on with an unfinished run.
---@param given { model: Module, data: table, loss: (function|string)?, optim: table?, tscore: table?, options: table?, callbacks: table?,
---run: boolean? }
---@return table fit epochs, best, tscore, steps, seconds, run (its folder)
function train.fit(given)
  local o = read(given)
  if experiment.current().flags.gradcheck then
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
  causality.check(o)
  local learnable = fit_checks.learnable(o.data)
  local values, origin = effective_config(o)
  local run, from, moved = fit_run.open { unrecorded = not o.run, seed = plan.seed, device = device, data = data_record(o.data),
    first_batch_sha256 = plan.first_batch.sha256, batches = o.data.train:count(), unmanaged_data = o.data.kind == 'custom' or nil,
    learnable = learnable, initial_weights_sha256 = trainer:weights_sha256(),
    gemm_gflops = fit_checks.speed(device, o.guards.device_speed), auto = o.options.resume == 'auto',
    values = values, origin = origin, steps = plan.steps, settle = function(path) return horizon.settle(trainer, path, o) end }
  local vocab_sha256 = vocabulary.of(o.data)
  if vocab_sha256 then o.model:vocabulary(vocab_sha256) end
  if not run then return finished(o, trainer, plan, from) end
  local watch = limits.start(trainer, run, o.watchdog)
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
  fit_run.close(run, { state = cut and fit.state or nil, reason = fit.reason, signal = fit.signal ~= 0 and fit.signal or nil,
    code = cut and fit.code or nil, summary = summary_of(fit) })
  if cut then limits.leave(fit) end
  return fit
end

return setmetatable(train, { __index = function(_, name) nearest.missing('train', train, name) end })
