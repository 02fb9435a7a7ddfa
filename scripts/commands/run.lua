-- runner run SCRIPT [a.b=c ...] [-- script arguments]
local sources = require 'boot.sources'
local experiment = require 'experiment'
local fail = require 'fail'
local host = require 'host'
local modules = require 'boot.modules'
local overrides = require 'config.overrides'
local run_options = require 'cli.run_options'
local script_file = require 'cli.script_file'
local traceback = require 'boot.traceback'

local run = { summary = 'Run a script.', normalise = run_options.normalise }

function run.configure(parser)
  parser:argument 'script':args '?':description 'A Lua file; - is standard input.'
  parser:argument 'overrides':args '*':description 'Changes of the config: a.b=c, +a.b=c, ++a.b=c, ~a.b.'
  parser:epilog 'Words after -- are the script\'s own, in the global `arg`.'
  run_options.add(parser)
end

local function check_script(path)
  if path == '-' then return end
  if not host.stat(path) and not path:find('[/.]') then require('cli.command_line').unknown_command(path) end
  script_file.check(path)
end

local function check_overrides(words)
  for _, word in ipairs(words) do
    if not overrides.looks_like(word) then
      fail.usage("'%s' is not an override (path=value); the script's own arguments go after --", word)
    end
  end
end

local function execute(chunk, message, ...)
  if not chunk then error(message, 0) end -- it begins with its position
  return chunk(...)
end

local function run_all(args, rest)
  for _, name in ipairs(args.libraries) do
    local found, value = traceback.call(_G.require, name) -- as the script would find it, at no place of ours
    if not found then error(value, 0) end
    if rawget(_G, name) == nil then _G[name] = value end
  end
  for _, code in ipairs(args.code) do
    sources.files[#sources.files + 1] = { path = '(command line)', text = code }
    execute(sources.compile(code, '=(command line)', '(command line)'))
  end
  if not args.script then return nil end
  local path = args.script ~= '-' and args.script or nil
  local chunk, message = sources.read(path)
  return execute(chunk, message, unpack(rest))
end

local function set_globals(args, rest)
  _G.arg = { [0] = args.script or 'runner', unpack(rest) }
  if args.script and args.script ~= '-' then
    modules.script_folder = host.realpath(args.script):match('^(.*)/')
  end
  if args.strict > 0 then require('boot.strict').install(args.strict) end
end

-- The parser takes the first word as the script; after -e it may be an override.
local function take_script(args)
  if args.script and overrides.looks_like(args.script) and #args.code > 0 and not host.stat(args.script) then
    table.insert(args.overrides, 1, args.script)
    args.script = nil
  end
  if args.script then return check_script(args.script) end
  if #args.code == 0 and #args.libraries == 0 and not args.interactive then
    fail.usage('no script given (see: runner --help)')
  end
  return nil
end

-- What a sweep script returns is a sweep, which is run.
local function is_sweep(value)
  return type(value) == 'table' and require('sweep').is(value)
end

function run.run(args, extra)
  take_script(args)
  check_overrides(args.overrides)
  if args.cell then
    args.cell_work = require('sweep.worker').begin(args.cell)
    if not args.cell_work then return 0 end
  end
  local flags = run_options.setup(args, args.script ~= '-' and args.script or nil, args.overrides, extra.argv)
  set_globals(args, extra.rest)
  local ok, problem = traceback.call(run_all, args, extra.rest)
  if ok and is_sweep(problem) and args.project then
    fail.config("'%s' is a sweep; project the script of its cells", args.script)
  elseif ok and is_sweep(problem) then
    return require('commands.sweep').run_script(args.script, args, extra)
  end
  local dry_run_end = not ok and experiment.is_dry_run_end(problem.value)
  if ok and flags.dry_run then experiment.print_config() end
  if ok and not flags.dry_run and not experiment.current().configured then experiment.check_reads() end
  if not ok and not dry_run_end then
    traceback.report(problem)
    if args.cell_work then args.cell_work.reason = problem.message or tostring(problem.value) end
  end
  local code = (ok or dry_run_end) and 0 or problem.code
  if not args.interactive then return code end
  local after = require('prompt.loop').run()
  return code ~= 0 and code or after
end

return run
