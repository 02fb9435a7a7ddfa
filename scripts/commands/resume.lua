-- runner resume RUN|latest [train.epochs=N ...] : goes on with a run from its newest checkpoint that verifies.
local again = require 'cli.again'
local fail = require 'fail'
local host = require 'host'
local overrides = require 'config.overrides'
local resume = require 'fit.resume'
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
  local words, start = again.read(path, manifest)
  for _, text in ipairs(args.overrides) do words.overrides[#words.overrides + 1] = text end
  for _, field in ipairs(short) do words[field] = args[field] or words[field] end
  words.threads, words.pin = args.threads or words.threads, args.pin or words.pin
  words.quiet, words.stop_after = args.quiet, args.stop_after
  return again.start(words, start)
end

return command
