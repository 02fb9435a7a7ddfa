-- A sweep from its command line to its end: plan, check, run, answer.
local answer = require 'sweep.answer'
local console = require 'console'
local duration = require 'base.duration'
local estimate = require 'sweep.planning.estimate'
local experiment = require 'experiment'
local fail = require 'fail'
local host = require 'host'
local nearest = require 'nearest'
local output_files = require 'base.output_files'
local plan = require 'sweep.planning.plan'
local pretty = require 'pretty'
local progress = require 'sweep.progress'
local pruning = require 'sweep.pruning'
local push = require 'sweep.study.push'
local read_file = require 'base.read_file'
local room = require 'base.room'
local run_files = require 'runs.files'
local run_options = require 'cli.run_options'
local select = require 'sweep.select'
local shared = require 'sweep.study.shared'
local spec = require 'sweep.planning.spec'
local stopping = require 'sweep.stopping'

local run = {}

local MACHINE = 9
local CELL_BYTES = 1e9 -- what a cell may take of the memory where nothing is known
local SHOWN_CELLS = 100
local LAUNCHERS = 'sweep/launchers'

local function available_bytes()
  return 1024 * (tonumber((read_file '/proc/meminfo' or ''):match 'MemAvailable:%s*(%d+)') or math.huge)
end

-- Cells at once: one a core, as far as the memory goes.
local function default_jobs(count)
  local by_memory = math.floor(available_bytes() / CELL_BYTES)
  return math.max(1, math.min(host.cores(), by_memory, count))
end

-- The options that every cell gets, as words.
local function cell_options(args)
  local words = {}
  if args.fast_dev_run then words[1] = ('--fast-dev-run=%d'):format(args.fast_dev_run) end
  return words
end

local function add_short_words(args, flags)
  for _, short in ipairs(flags.short) do args.words[#args.words + 1] = ('%s=%s'):format(short.path, short.value) end
  flags.short = {}
end

-- A sweep's name stands for one plan, whatever of it differs.
local function check_same_plan(found, made)
  local old, new = found.head, made.head
  if old.fingerprint == new.fingerprint then return end
  local differs = {}
  for _, key in ipairs { 'script', 'axes', 'overrides', 'options', 'rest', 'seeds', 'trials', 'sampler', 'sampler_seed',
    'pruner', 'where' } do
    local was, is = pretty.inline(old[key]), pretty.inline(new[key])
    if was ~= is then differs[#differs + 1] = ('%s: %s, now %s'):format(key, was, is) end
  end
  fail.config("sweep '%s' exists and is another one (%s); give this one another --name", made.name,
    #differs > 0 and table.concat(differs, '; ') or 'the script has other defaults by now')
end

local function check_sources(folder, head, source_hash, texts, allowed)
  if head.source_hash == source_hash then return end
  if not allowed then
    fail.config("the script or one of its modules is not what the sweep was planned with (its own are in '%s/src'); "
      .. 'put them back, plan anew under another --name, or go on with --allow-source-change', folder)
  end
  local created = os.date '!%Y-%m-%dT%H:%M:%SZ'
  plan.append(folder, { kind = 'source', source_hash = source_hash, created = created })
  local kept = ('%s/src-%s'):format(folder, created:gsub('[:-]', ''))
  output_files.make_folder(kept)
  for name, text in pairs(texts) do output_files.write_text(('%s/%s'):format(kept, name), text) end
  head.source_hash, head.sources_changed = source_hash, created
end

local function print_cells(made)
  for i, cell in ipairs(made.cells) do
    if i > SHOWN_CELLS then
      console.write(('... %d more\n'):format(#made.cells - SHOWN_CELLS))
      break
    end
    console.write(('%d  %s  %s\n'):format(cell.i, cell.id, progress.settings(cell)))
  end
end

local function summary_of(made)
  local head, parts = made.head, {}
  parts[1] = pretty.plural(#made.cells, 'cell')
  if (head.seeds or 1) > 1 then parts[2] = pretty.plural(head.seeds, 'seed') .. ' each' end
  if made.dropped > 0 then parts[#parts + 1] = ('%d dropped by where'):format(made.dropped) end
  if made.same > 0 then parts[#parts + 1] = ('%d left out as the same config again'):format(made.same) end
  return table.concat(parts, ', ')
end

-- How many cells at once, with how many threads each.
local function share_machine(args, expected)
  local is_local = args.launcher == 'local'
  local jobs = args.jobs or is_local and default_jobs(expected) or expected
  return jobs, args.threads or is_local and math.max(1, math.floor(host.cores() / jobs)) or 1
end

-- The words of every cell.
local function words_of(head, args, jobs)
  local words = {}
  for _, word in ipairs(head.options) do words[#words + 1] = word end
  if args.mem_limit then words[#words + 1] = ('--mem-limit=%d'):format(math.floor(args.mem_limit / jobs)) end
  for _, word in ipairs(head.overrides) do words[#words + 1] = word end
  return words
end

local function size_text(bytes)
  return bytes < 1e9 and ('%.1f MB'):format(bytes / 1e6) or ('%.1f GB'):format(bytes / 1e9)
end

local function print_estimate(folder, made, args)
  if #made.cells == 0 then return 0 end -- a sampler decides about them
  local jobs, threads = share_machine(args, #made.cells)
  local found = estimate.of(folder, made, words_of(made.head, args, jobs), threads)
  local total_s = found.cell_s * math.ceil(#made.cells / jobs)
  console.note(('%-10s%s a cell, %s at once: about %s in all (from %s)'):format('time', duration.short(found.cell_s),
    pretty.plural(jobs, 'cell'), duration.short(total_s), found.of))
  if not found.disk_bytes then return 0 end
  local needed, disk = found.disk_bytes * #made.cells, host.disk(run_files.root()) or host.disk '.'
  local free = disk and disk.free
  console.note(('%-10sabout %s for checkpoints%s'):format('disk', size_text(needed),
    free and (', %s are free'):format(size_text(free)) or ''))
  if free and needed > free then console.warn('warning: the disk is too small for this sweep') end
  return 0
end

-- Runs the cells of a plan and says what came of it.
local function execute(folder, planned, search, launcher, args)
  local head = planned.head
  local expected = search and head.trials * math.max(1, head.seeds or 1) or #planned.cells
  local jobs, threads = share_machine(args, expected)
  local words = words_of(head, args, jobs)
  local view = progress.new { cells = planned.cells, total = expected, asked = head.metric,
    maximize = head.maximize, jobs = jobs, quiet = args.quiet }
  console.note(('%-10s%s%s'):format('sweep', folder, args.launcher ~= 'local' and ' by ' .. args.launcher
    or (', %s at once with %s each'):format(pretty.plural(jobs, 'cell'), pretty.plural(threads, 'thread'))))
  stopping.forget(folder)
  local began = host.now()
  local code = launcher.run(planned.cells, { folder = folder, name = folder:match 'sweep%-([^/]*)$', jobs = jobs,
    jobs_given = args.jobs ~= nil, threads = threads, retries = args.retries or 1, fail_fast = args.fail_fast,
    script = head.script, words = words, rest = head.rest, metric = head.metric, maximize = head.maximize,
    search = search, pruner = head.pruner and pruning.parse(head.pruner), view = view, time = args.time,
    slurm_options = args.slurm, detach = args.detach })
  if args.detach then return code end
  console.note(('%-10s%d of %s over%s in %s; runner compare %s'):format('sweep', view.over,
    pretty.plural(expected, 'cell'), view.failures > 0 and (', %d failed'):format(view.failures) or '',
    duration.short(host.now() - began), folder))
  if view.best then
    console.write(('best %s %.6g  %s\n'):format(view.metric, view.best, progress.settings(view.best_cell)))
  end
  if code > 128 then return code end -- nothing is found by half a sweep
  local found = answer.lines({ path = folder }, head, args.fast_dev_run ~= nil)
  if #found > 0 then console.write('\n' .. table.concat(found, '\n') .. '\n') end
  return code
end

-- Joins the study that machines share, if there is one, and tells it what is here already.
local function join_study(folder, planned, allows_changes)
  local study = shared.join(folder, planned.head, { allows_changes = allows_changes })
  if not study then return end
  local _, message = push(study, folder)
  if message then fail.raise(MACHINE, '%s', message) end
  console.note(('%-10s%s'):format('study', study.db:url()))
end

---Plans a sweep, or finds the plan, and runs what is missing of it.
---@param args table of the command; rest: the script's own arguments; folder: of a sweep that exists
---@param argv string[]
---@return integer code
function run.run(args, argv)
  args.rest = args.rest or {}
  args.launcher = args.launcher or 'local'
  local launcher = room.load(LAUNCHERS, args.launcher) or fail.usage("launcher '%s' is not known%s", args.launcher,
    nearest.hint(args.launcher, room.names(LAUNCHERS)))
  if launcher.check and not args.dry_run then launcher.check() end
  if not args.dry_run then shared.check() end
  local flags = run_options.flags { seed = args.seed, device = args.device, max_steps = args.max_steps,
    epochs = args.epochs, max_time = args.max_time, accept_eta = args.accept_eta, fast_dev_run = args.fast_dev_run,
    quiet = args.quiet }
  add_short_words(args, flags)
  args.cell_options = cell_options(args)
  local made = spec.make(args, flags, argv)
  if not experiment.valid_name(made.name) then
    fail.usage("the name of a sweep must match [a-z0-9][a-z0-9_-]*, at most 64 characters, got '%s'", made.name)
  end
  local folder = args.folder or select.folder(made.head.experiment, made.name)
  if args.dry_run then
    print_cells(made)
    console.note(('%-10s%s, %s'):format('plan', summary_of(made), folder))
    return print_estimate(folder, made, args)
  end
  if not plan.exists(folder) then
    made.head.created, made.head.argv = os.date '!%Y-%m-%dT%H:%M:%SZ', argv
    plan.write(folder, made, made.texts)
  end
  local planned = plan.read(folder)
  check_same_plan(planned, made)
  if made.search then made.search.folder, made.search.given = folder, planned.trials end
  check_sources(folder, planned.head, made.head.source_hash, made.texts, args.allow_source_change)
  join_study(folder, planned, args.allow_source_change)
  console.note(('%-10s%s'):format('plan', summary_of(made)))
  return execute(folder, planned, made.search, launcher, args)
end

---Goes on with a planned sweep: the same command again.
---@param found { path: string, name: string }
---@param args table of the command
---@param argv string[]
---@return integer code
function run.resume(found, args, argv)
  local folder = host.realpath(found.path)
  host.setenv('RUNNER_RESULTS_DIR', folder:match '^(.*)/[^/]*/[^/]*$') -- the cells' runs belong beside it
  local head = plan.read(folder).head
  if head.cwd ~= host.cwd() and host.stat(head.cwd) and not host.stat(head.sweep_script or head.script) then
    host.chdir(head.cwd)
  end
  local again = { script = head.sweep_script or head.script, words = head.words, trials = head.trials,
    sampler = head.sampler, sampler_seed = head.sampler_seed, where = head.where, metric = head.metric,
    maximize = head.maximize, name = found.name, pruner = head.pruner, fast_dev_run = head.fast_dev_run,
    rest = head.rest, folder = folder }
  for _, key in ipairs { 'launcher', 'time', 'slurm', 'detach', 'jobs', 'threads', 'mem_limit', 'retries', 'fail_fast',
    'allow_source_change', 'quiet' } do
    again[key] = args[key]
  end
  return run.run(again, argv)
end

return run
