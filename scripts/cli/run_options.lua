-- The options shared by commands that execute a script, and what they set up.
local console = require 'console'
local duration = require 'base.duration'
local experiment = require 'experiment'
local fail = require 'fail'
local host = require 'host'
local native = require 'boot.native'

local run_options = {}

-- Options that are short for a key of the config, with what checks the text early where there is something.
local SHORT = { { 'seed', 'N', 'train.seed' }, { 'device', 'NAME', 'train.device' },
  { 'max-steps', 'N', 'train.max_steps' }, { 'epochs', 'N', 'train.epochs' },
  { 'max-time', 'HH:MM:SS', 'train.max_time', duration.text } }
-- Flags that are short for a key that is true.
local SHORT_FLAGS = { { 'accept-eta', 'train.accept_eta' } }

---Converts the text of an option that counts something.
---@param text string
---@return integer? count, string? message
function run_options.to_count(text)
  local x = tonumber(text)
  if x and x % 1 == 0 and x >= 1 then return x end
  return nil, ("expected a whole number of at least 1, got '%s'"):format(text)
end

local UNITS = { [''] = 1, K = 2 ^ 10, M = 2 ^ 20, G = 2 ^ 30, T = 2 ^ 40 }

---Bytes of a size such as "4GiB", "512M" or "1.5g".
---@param text string
---@return integer? bytes, string? message
function run_options.to_bytes(text)
  local number, unit = text:match('^([%d.]+)%s*([kKmMgGtT]?)i?[bB]?$')
  local bytes = tonumber(number)
  if not bytes then return nil, ("expected a size such as 4GiB, got '%s'"):format(text) end
  return math.floor(bytes * UNITS[unit:upper()])
end

---Adds the options that decide threads: --threads and --pin.
---@param parser table
function run_options.add_threads(parser)
  parser:option '--threads':argname 'N':convert(run_options.to_count)
    :description 'Threads of native code (default: OMP_NUM_THREADS, else the cores this process may use).'
  parser:flag '--pin'
    :description 'Bind threads to cores (OMP_PROC_BIND=close). Off, because runners side by side share the cores.'
end

---Hands the options of add_threads to the native module, before it is loaded.
---@param args table
function run_options.set_threads(args)
  if args.threads then native.set_threads(args.threads) end
  if args.pin then native.set_pin(true) end
end

---Adds the options that are short for keys of the config.
---@param parser table
---@param names? table<string, boolean> those wanted; all otherwise
---@return string[] fields where the parser puts them
function run_options.add_short(parser, names)
  local fields = {}
  for _, short in ipairs(SHORT) do
    if not names or names[short[1]] then
      local option = parser:option('--' .. short[1]):argname(short[2])
        :description('Short for ' .. short[3] .. '=' .. short[2] .. '.')
      if short[4] then option:convert(short[4]) end
      fields[#fields + 1] = (short[1]:gsub('-', '_'))
    end
  end
  for _, short in ipairs(SHORT_FLAGS) do
    if not names or names[short[1]] then
      parser:flag('--' .. short[1]):description('Short for ' .. short[2] .. '=true.')
      fields[#fields + 1] = (short[1]:gsub('-', '_'))
    end
  end
  return fields
end

---Adds the options to an argparse parser.
---@param parser table
function run_options.add(parser)
  parser:option '-e':argname 'CODE':count '*':target 'code':description 'Execute CODE before the script.'
  parser:option '-l':argname 'LIB':count '*':target 'libraries'
    :description 'Require LIB into a global before the script.'
  parser:flag '-i':target 'interactive':description 'Open the prompt after the script.'
  parser:flag '-g':target 'strict':count '0-2':description 'Warn on undeclared globals; -gg fails.'
  parser:option '--name':argname 'TEXT':description 'A name for the run.'
  parser:option '--tag':argname 'TEXT':count '*':target 'tags':description 'A tag for the run; may be repeated.'
  run_options.add_short(parser)
  run_options.add_threads(parser)
  parser:option '--fast-dev-run':argname '[=N]'
    :convert(run_options.to_count):description 'Train and evaluate N batches only (default 1).'
  parser:option '--mem-limit':argname 'SIZE':convert(run_options.to_bytes)
    :description 'Cap on native memory, such as 4GiB.'
  parser:option '--scripts':argname 'DIR':description 'Take library files from DIR where it has them.'
  parser:flag '-n --dry-run':target 'dry_run':description 'Print the resolved config and stop at the first train.fit.'
  parser:option '--stop-after':argname 'N':convert(run_options.to_count)
    :description 'Save and leave after N updates in all, as on request of a scheduler; the schedule does not change.'
  parser:option '--estimate':argname 'FILE':hidden(true)
    :description 'Write what the training is going to take into FILE, and leave; sweep asks so.'
  parser:option '--cell':argname 'DIR':description 'Work on this cell of a sweep; runner sweep gives it.'
  parser:flag '-q --quiet':description 'No progress lines.'
  parser:flag '-v --verbose':description 'More progress lines.'
end

---Gives argparse what it can read: `--fast-dev-run` has an optional value, which must not be the next word.
---@param words string[]
---@return string[]
function run_options.normalise(words)
  local normalised = {}
  for i, word in ipairs(words) do normalised[i] = word == '--fast-dev-run' and '--fast-dev-run=1' or word end
  return normalised
end

---Flags of experiment.current() from parsed arguments; sets threads, memory cap and quietness.
---@param args table
---@return table flags
function run_options.flags(args)
  if args.quiet and args.verbose then fail.usage('--quiet and --verbose cannot be used together') end
  run_options.set_threads(args)
  if args.mem_limit then host.setenv('RUNNER_MEM_LIMIT', ('%d'):format(args.mem_limit)) end
  console.quiet = args.quiet or false
  local flags = { name = args.name, tags = args.tags or {}, fast_dev_run = args.fast_dev_run,
    dry_run = args.dry_run or false, quiet = args.quiet or false, verbose = args.verbose or false,
    mem_limit = args.mem_limit, threads = args.threads, stop_after = args.stop_after, gradcheck = args.gradcheck,
    started = host.now(), cell = args.cell_work, estimate = args.estimate,
    sample = args.sample, project = args.project, short = {},
    when_configured = args.project and args.project.when_configured }
  local function add(option, path, value)
    if value then flags.short[#flags.short + 1] = { option = '--' .. option, path = path, value = tostring(value) } end
  end
  for _, short in ipairs(SHORT) do add(short[1], short[3], args[short[1]:gsub('-', '_')]) end
  for _, short in ipairs(SHORT_FLAGS) do add(short[1], short[2], args[short[1]:gsub('-', '_')]) end
  return flags
end

---Tells experiment about the run.
---@param args table parsed arguments
---@param script string?
---@param override_texts string[]
---@param argv string[]
---@param name? string of what is done without a script; command
---@return table flags
function run_options.setup(args, script, override_texts, argv, name)
  local flags = run_options.flags(args)
  experiment.setup { script = script, argv = argv, overrides = override_texts, flags = flags,
    cell = flags.cell and flags.cell.settings, name = name or not script and 'command' or nil }
  return flags
end

return run_options
