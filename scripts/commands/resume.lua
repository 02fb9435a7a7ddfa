-- runner resume RUN|latest [train.epochs=N ...] : goes on with a run from its newest checkpoint that verifies.
local command_line = require 'cli.command_line'
local console = require 'console'
local fail = require 'fail'
local host = require 'host'
local overrides = require 'config.overrides'
local resume = require 'fit.resume'
local moved_project = require 'runs.moved_project'
local run_options = require 'cli.run_options'
local run_select = require 'runs.select'

local short -- fields of the options that may change in a resumed run

local command = { summary = 'Go on with a run from its newest checkpoint.' }

function command.configure(parser)
  parser:argument 'run':description "A run directory, its id, an experiment (its newest run) or 'latest'."
  parser:argument 'overrides':args '*':description 'train.epochs=N and others that do not change what is computed.'
  parser:option '--from':argname 'CHECKPOINT'
    :description 'Such as step-00001000; later ones are set aside (default: the newest that verifies).'
  parser:flag '--allow-source-change':description 'Go on although the script is not what the run began with.'
  short = run_options.add_short(parser, { epochs = true, ['max-steps'] = true, ['max-time'] = true,
    ['accept-eta'] = true })
  run_options.add_threads(parser)
  parser:option '--stop-after':argname 'N':convert(run_options.to_count)
    :description 'Save and leave after N updates in all.'
  parser:flag '-q --quiet':description 'No progress lines.'
end

-- Whether the words make a finished run longer.
local function extends(args)
  if args.epochs or args.max_steps then return true end
  for _, text in ipairs(args.overrides) do
    if text:match '^%+*train%.epochs=' or text:match '^%+*train%.max_steps=' then return true end
  end
  return false
end

function command.run(args)
  for _, text in ipairs(args.overrides) do
    if not overrides.looks_like(text) then fail.usage("'%s' is not an override (path=value)", text) end
  end
  local path = host.realpath(run_select.one(args.run).path)
  local manifest = resume.set(path, { from = args.from, allow_source_change = args.allow_source_change,
    extend = extends(args) })
  local folder = manifest.cwd and moved_project(path, manifest) or host.cwd()
  if folder ~= host.cwd() then
    local ok, message = host.chdir(folder)
    if not ok then fail.config("run '%s': '%s': %s", path, folder, message) end
    console.note(('%-10s%s%s'):format('folder', folder,
      folder ~= manifest.cwd and ', moved or copied from ' .. manifest.cwd or ''))
  end
  local name, runner, words, rest = command_line.read(manifest.argv or {})
  if name ~= 'run' then
    fail.config("run '%s' was not started by a script (%s); only scripts can be resumed", path, name)
  end
  local again = command_line.parse(name, runner, words)
  for _, text in ipairs(args.overrides) do again.overrides[#again.overrides + 1] = text end
  for _, field in ipairs(short) do again[field] = args[field] or again[field] end
  again.threads, again.pin = args.threads or again.threads, args.pin or again.pin
  again.quiet, again.stop_after = args.quiet, args.stop_after
  again.interactive = nil
  return runner.run(again, { argv = manifest.argv, rest = rest })
end

return command
