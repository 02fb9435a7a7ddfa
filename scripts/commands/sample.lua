-- runner sample RUN [--prompt TEXT] [-n 3]: text drawn from the model of a run.
local again = require 'cli.again'
local console = require 'console'
local fail = require 'fail'
local host = require 'host'
local resume = require 'fit.resume'
local run_options = require 'cli.run_options'
local run_select = require 'runs.select'

local sample = { summary = 'Draw text from the model of a run.' }

local function to_number(text)
  local number = tonumber(text)
  return number, ("'%s' is not a number"):format(text)
end

local function to_seed(text)
  local number = tonumber(text)
  if number and number >= 0 and number % 1 == 0 then return number end
  return nil, ("expected a whole number of at least 0, got '%s'"):format(text)
end

function sample.configure(parser)
  parser:argument 'run':args '?':description
    "A run directory, its id, an experiment (its newest run) or 'latest' (the default)."
  parser:option '--prompt':argname 'TEXT':count '*':target 'prompts'
    :description 'What the text goes on from; may be repeated (default: the beginning of a line of the val text).'
  parser:option '-n':argname 'N':target 'n':convert(run_options.to_count):default '1'
    :description 'Texts for each prompt.'
  parser:option '--length':argname 'N':convert(run_options.to_count):default '200':description 'Tokens to draw.'
  parser:option '--temperature':argname 'X':convert(to_number):default '0.8'
    :description '0 takes the most likely token.'
  parser:option '--top-k':argname 'K':convert(run_options.to_count):description 'Only the K most likely tokens.'
  parser:option '--top-p':argname 'P':convert(to_number)
    :description 'Only the most likely tokens that together reach this share.'
  parser:option '--seed':argname 'N':convert(to_seed):default '0'
    :description 'Of the first text; the next has the next.'
  parser:option '--most':argname 'N':convert(run_options.to_count)
    :description 'Tokens of prompt and text together at most.'
  parser:option '--from':argname 'CHECKPOINT'
    :description "Such as best or step-00001000 (default: the weights at the run's end, else its newest checkpoint)."
  parser:flag '--no-cache':description 'Read all before at each token anew; the same text, later.'
  parser:flag '--allow-source-change':description 'Although the script is not what the run began with.'
  parser:flag '--json':description 'One JSON object a line: prompt, text, seed.'
  parser:flag '-q --quiet':description 'The texts alone.'
  run_options.add_threads(parser)
end

function sample.run(args)
  local path = host.realpath(run_select.one(args.run or 'latest').path)
  local manifest = resume.set(path, { allow_source_change = args.allow_source_change, extend = true })
  console.quiet = args.quiet or false
  local words, start = again.read(path, manifest)
  if words.cell then fail.config("run '%s' is the cell of a sweep; sample the run of a script", path) end
  words.quiet, words.dry_run, words.estimate, words.stop_after = true, nil, nil, nil
  words.threads, words.pin = args.threads or words.threads, args.pin or words.pin
  words.sample = { prompts = args.prompts, n = args.n, seed = args.seed, from = args.from, json = args.json,
    quiet = args.quiet, draw = { length = args.length, temperature = args.temperature, top_k = args.top_k,
      top_p = args.top_p, most = args.most, cache = not args.no_cache } }
  console.diverted = true
  return again.start(words, start)
end

return sample
