-- runner bench: times workloads beside PyTorch, in one run, and shows which bars they reach. Times decide no exit code.
local console = require 'console'
local dkjson = require 'dkjson'
local fail = require 'fail'
local host = require 'host'
local native = require 'boot.native'
local nearest = require 'nearest'
local room = require 'base.room'
local run_options = require 'cli.run_options'

local bench = { summary = 'Time workloads, beside PyTorch.' }

function bench.configure(parser)
  parser:argument 'workloads':args '*':description 'What to time; see --list. Default: gru.'
  parser:flag '--list':description 'List the workloads.'
  parser:flag '--peer':description "Time PyTorch (Debian's python3-torch) in turn with ours."
  run_options.add_threads(parser)
  parser:option '--rounds':argname 'R':default '3':convert(run_options.to_count)
    :description 'How often all cases run in turn.'
  parser:option '--steps':argname 'S':default '5':convert(run_options.to_count)
    :description 'Steps of a case in a round, after 3 to warm up; fewer than 9 in all compare badly.'
  parser:flag '--json':description 'One JSON object per line: the machine, then rows, bars and notes.'
  parser:option '--scripts':argname 'DIR':description 'Take library files from DIR where it has them.'
  parser:flag '-q --quiet':description 'No progress lines.'
end

local function list(as_json)
  for _, name in ipairs(room.names 'bench') do
    local row = { workload = name, summary = require('bench.' .. name).summary }
    console.write(as_json and dkjson.encode(row) .. '\n' or ('%-8s  %s\n'):format(row.workload, row.summary))
  end
  return 0
end

-- An unknown workload ends the command before anything is measured. Workloads are not loaded here: they load the native
-- module, which takes the threads that are set by then.
local function check(words)
  local known, wanted = room.names 'bench', {}
  for _, word in ipairs(words) do
    if not room.has('bench', word) then fail.usage("unknown workload '%s'%s", word, nearest.hint(word, known)) end
    wanted[#wanted + 1] = word
  end
  return #wanted > 0 and wanted or { 'gru' }
end

-- What workloads get: the options, the machine's rates, a place for words on the way.
local function new_context(args)
  run_options.set_threads(args)
  local diagnostics = require('lanthorn').diagnostics
  local torch = require 'torch'
  local settings = native.settings()
  local context = { rounds = args.rounds, steps = args.steps, warmup = require('benchmark.harness').WARMUP,
    threads = torch.get_num_threads(),
    machine = diagnostics.machine(), libraries = diagnostics.libraries(), settings = settings, note = console.note }
  -- The rate is taken in every round and the best counts, so that a busy moment does not flatter our share of it.
  function context.measure_gemm()
    context.gemm = math.max(context.gemm or 0, diagnostics.gemm('onednn', 'float32', context.threads, 0.2))
  end
  function context.measure_bandwidth()
    context.bandwidth = context.bandwidth or diagnostics.bandwidth(context.threads, 0.3)
  end
  context.measure_gemm()
  return context
end

local function find_peer(context, args)
  if not args.peer then return end
  local version, reason = require('benchmark.peer').version(context)
  context.peer = version
  if version then return end
  console.note(('peer: no PyTorch in %s (%s); ours alone. It comes with: apt-get install python3-torch')
    :format(require('benchmark.peer').python, reason))
end

local function header(context)
  local settings = context.settings
  return { kind = 'machine', cpu = context.machine.cpu, cores = settings.cores, threads = context.threads,
    threads_from = settings.threads.from, wait_policy = settings.wait.value, wait_policy_from = settings.wait.from,
    pinning = settings.pinning.value, pinning_from = settings.pinning.from, load_average = context.machine.load_average,
    blas = context.libraries.blas, onednn = context.libraries.onednn, onednn_isa = context.libraries.onednn_isa,
    libtorch = context.libraries.libtorch, peer = context.peer, rounds = context.rounds, steps = context.steps,
    warmup_steps = context.warmup, gemm_fp32_gflops = context.gemm / 1e9, version = host.version() }
end

local KEYS = { keyorder = { 'kind', 'workload', 'id', 'name', 'what' } }

local function emit(kind, workload, value)
  local object = { kind = kind, workload = workload }
  for key, item in pairs(value) do object[key] = item end
  console.write(dkjson.encode(object, KEYS) .. '\n')
end

function bench.run(args)
  if args.list then return list(args.json) end
  local wanted = check(args.workloads)
  console.quiet = args.quiet or false
  local context = new_context(args)
  find_peer(context, args)
  local report = require 'benchmark.report'
  if args.json then emit('machine', nil, header(context)) else report.header(header(context)) end
  if args.rounds * args.steps < require('benchmark.harness').ENOUGH then
    console.note(('bench: --rounds %d --steps %d are too few steps to compare; medians need %d in all')
      :format(args.rounds, args.steps, require('benchmark.harness').ENOUGH))
  end
  for _, name in ipairs(wanted) do
    local workload = require('bench.' .. name)
    if workload.needs_bandwidth then context.measure_bandwidth() end
    local result = workload.run(context)
    if args.json then
      for _, row in ipairs(result.rows) do emit('row', name, row) end
      for _, bar in ipairs(result.bars) do emit('bar', name, bar) end
      for _, note in ipairs(result.notes or {}) do emit('note', name, { text = note }) end
    else
      report.workload(name, workload, result, context)
    end
  end
  if args.json then
    emit('rates', nil, { gemm_fp32_gflops = context.gemm / 1e9,
      copy_gb_s = context.bandwidth and context.bandwidth.copy / 1e9,
      triad_gb_s = context.bandwidth and context.bandwidth.triad / 1e9 })
  else
    report.rates(context)
  end
  return 0
end

return bench
