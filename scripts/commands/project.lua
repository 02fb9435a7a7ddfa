-- runner project SCRIPT [a.b=c ...] --to N [--at T,T]: how long the script's training is going to take, from a few
-- updates that are timed.
local at_exit = require 'boot.at_exit'
local command_line = require 'cli.command_line'
local console = require 'console'
local fail = require 'fail'
local files = require 'files'
local host = require 'host'
local json = require 'json'
local output_files = require 'base.output_files'
local overrides = require 'config.overrides'
local run_files = require 'runs.files'
local run_options = require 'cli.run_options'
local runner_process = require 'base.runner_process'

local project = { summary = 'How long a training is going to take, from a few timed updates.' }

local LENGTH_KEYS = { 'graph.max_len', 'data.seq' } -- the first that a script has sets the length of its rows

-- Reads "512,128"; `what` such numbers are.
local function to_numbers(what)
  return function(text)
    local numbers = {}
    for part in (text .. ','):gmatch '([^,]*),' do
      local number = run_options.to_count(part)
      if not number then return nil, ("expected %s such as 512,128, got '%s'"):format(what, text) end
      numbers[#numbers + 1] = number
    end
    return numbers
  end
end

function project.configure(parser)
  parser:argument 'script':description 'A Lua file; its first train.fit is timed, in place of being run to its end.'
  parser:argument 'overrides':args '*':description 'Changes of the config: a.b=c.'
  parser:option '--to':argname 'N':convert(run_options.to_count)
    :description('Updates to project. An update is one step of the optimiser, after train.accumulate micro-steps; a '
      .. 'micro-step is one forward and backward. Both are printed.')
  parser:option '--at':argname 'T,T':convert(to_numbers 'lengths')
    :description('Project once for each length of rows in tokens, set by ' .. table.concat(LENGTH_KEYS, ' or ') .. '.')
  parser:option '--rows':argname 'N,N':convert(to_numbers 'updates')
    :description 'Updates that the cost table has rows for, in place of 100 to 10,000.'
  parser:option '--steps':argname 'N':convert(run_options.to_count):default '20'
    :description 'Micro-steps to time at least, after 3 updates of warm-up; in whole updates, 5 or more.'
  parser:flag '--json':description 'One JSON object with all numbers.'
  parser:option '--report':argname 'FILE':hidden(true):description 'Write the numbers into FILE, for --at.'
  run_options.add_short(parser, { seed = true, device = true })
  run_options.add_threads(parser)
  parser:epilog 'Words after -- are the script\'s own, in the global `arg`.'
end

-- Removes what projections of this machine left that were ended by force.
local function remove_left(root, prefix)
  for _, name in ipairs(host.listdir(root) or {}) do
    local pid = name:sub(1, #prefix) == prefix and name:sub(#prefix + 1):match '^%d+$'
    if pid and not host.stat('/proc/' .. pid) then output_files.remove(root .. '/' .. name) end
  end
end

-- Results of the script go into a folder beside its others, on the same disk, which is gone at the end.
local function temporary_results()
  local root, prefix = run_files.root(), ('.projection-%s-'):format(host.hostname())
  remove_left(root, prefix)
  local mine, made = ('%s/%s%d'):format(root, prefix, host.pid()), not host.stat(root)
  output_files.make_folder(mine)
  at_exit.add(function()
    output_files.remove(mine)
    if made and #host.listdir(root) == 0 then output_files.remove(root) end
  end)
  host.setenv('RUNNER_RESULTS_DIR', mine)
end

-- Sets the length in the config as soon as the script has declared it.
local function length_setter(asked)
  return asked.at and function(tree)
    for _, key in ipairs(LENGTH_KEYS) do
      if not asked.length_key and tree.origin[key] then
        asked.length_key = key
        tree:apply(overrides.parse(('%s=%d'):format(key, asked.at)), 'cli')
      end
    end
  end
end

-- Starts the script up to its first training. Returns what was measured, or nil and the exit code.
local function time_script(args, extra, length)
  local run = command_line.command 'run'
  local words = command_line.parse('run', run, { args.script, unpack(args.overrides) })
  words.threads, words.pin, words.seed, words.device, words.quiet = args.threads, args.pin, args.seed, args.device, true
  local asked = { steps = args.steps, at = length, length_keys = LENGTH_KEYS }
  asked.when_configured = length_setter(asked)
  words.project = asked
  temporary_results()
  console.diverted = true -- what the script prints is not the projection
  local code = run.run(words, extra)
  console.diverted = false
  if code ~= 0 then return nil, code end
  if not asked.measured then
    fail.config("'%s' ended without a train.fit; there is nothing to project", args.script)
  end
  asked.measured.at = length
  return asked.measured
end

-- The projection for one length, made by a runner of its own: each is timed from the start of a process.
local function in_a_process(args, extra, length)
  local file = os.tmpname()
  local words = { 'project', args.script, '--to', ('%d'):format(args.to), '--steps', ('%d'):format(args.steps), '--at',
    ('%d'):format(length), '--report', file }
  if host.scripts then words = { '--scripts', host.scripts, unpack(words) } end
  if args.rows then
    words[#words + 1], words[#words + 2] = '--rows', table.concat(args.rows, ',')
  end
  for _, name in ipairs { 'seed', 'device', 'threads' } do
    if args[name] then words[#words + 1] = ('--%s=%s'):format(name, args[name]) end
  end
  if args.pin then words[#words + 1] = '--pin' end
  for _, text in ipairs(args.overrides) do words[#words + 1] = text end
  if #extra.rest > 0 then words[#words + 1] = '--' end
  for _, word in ipairs(extra.rest) do words[#words + 1] = word end
  local output, code = runner_process.run(run_files.root(), words)
  local text = files.read(file)
  os.remove(file)
  if code ~= 0 then
    io.stderr:write(output)
    return nil, code
  end
  return json.decode(text)
end

local function write(args, made)
  local report = require 'projection.report'
  if args.json then
    console.write(json.encode { script = args.script, projections = made } .. '\n')
    return
  end
  for _, p in ipairs(made) do
    if p.at then console.write(('length %d\n'):format(p.at)) end
    console.write(table.concat(report.lines(p), '\n') .. '\n')
    if #made > 1 then console.write '\n' end
  end
  if #made > 1 then console.write(table.concat(report.compared(made), '\n') .. '\n') end
end

function project.run(args, extra)
  if not args.to then fail.usage '--to is missing: how many updates are to be projected, such as --to 10000' end
  local made, lengths = {}, args.at or {}
  if #lengths > 1 then
    for _, length in ipairs(lengths) do
      local one, code = in_a_process(args, extra, length)
      if not one then return code end
      made[#made + 1] = one
    end
  else
    local measured, code = time_script(args, extra, lengths[1])
    if not measured then return code end
    made[1] = require('projection.forecast').of(measured, args.to, args.rows)
  end
  if args.report then
    files.write(args.report, json.encode(made[1]))
  else
    write(args, made)
  end
  return 0
end

return project
