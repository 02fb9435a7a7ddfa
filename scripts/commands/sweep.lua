-- runner sweep SCRIPT key=a,b,c ... : many runs of one script, each combination once; runner sweep ACTION [SWEEP].
local command_line = require 'cli.command_line'
local fail = require 'fail'
local host = require 'host'
local nearest = require 'nearest'
local overrides = require 'config.overrides'
local room = require 'base.room'
local run_options = require 'cli.run_options'

local sweep = { summary = 'Run a script with many configs, each once.' }

local ACTIONS = 'sweep/actions'

function sweep.configure(parser)
  parser:argument 'script':description('An experiment, or a sweep script; or one of '
    .. table.concat(room.names(ACTIONS), ', ') .. ', which take a sweep.')
  parser:argument 'words':args '*':description('What varies: key=a,b,c, key=range(lo,hi,step), key=linspace(lo,hi,n), '
    .. "key=logspace(lo,hi,n), 'zip(a=1,2;b=3,4)', seeds=N; drawn with --trials: key=uniform(lo,hi), "
    .. 'loguniform(lo,hi), int(lo,hi), choice(a,b). Other overrides hold for every cell.')
  parser:option '-j --jobs':argname 'N':convert(run_options.to_count)
    :description 'Cells at once (default: by cores and memory).'
  parser:option '--launcher':argname 'NAME'
    :description('Who runs the cells: ' .. table.concat(room.names 'sweep/launchers', ', ') .. ' (default local).')
  parser:option '--time':argname 'HH:MM:SS':description 'With slurm: the time limit of a cell; it goes on in the next.'
  parser:option '--slurm':argname 'OPTION':count '*'
    :description 'With slurm: an option of sbatch without its dashes, such as partition=gpu; may be repeated.'
  parser:flag '--detach':description 'With slurm: submit, and do not wait.'
  parser:option '--trials':argname 'N':convert(run_options.to_count):description 'How often drawn axes are drawn.'
  parser:option '--sampler':argname 'NAME'
    :description 'random (default), sobol, which spreads trials evenly, or tpe, which learns from them.'
  parser:option '--sampler-seed':argname 'N':convert(tonumber):description 'Of what is drawn (default 0).'
  parser:option '--where':argname 'LUA'
    :description "Only cells for which this holds, such as 'optim.lr < 0.1'; names are those of the config."
  parser:option '--metric':argname 'NAME':description 'What "best" is about (default val_loss, else train_loss).'
  parser:flag '--maximize':description 'The highest value is the best.'
  parser:option '--pruner':argname 'NAME'
    :description 'Ends bad cells early: asha, asha(min=1,eta=3), median(warmup=1,startup=5), patience(epochs=3).'
  parser:option '--name':argname 'NAME':description 'Of the sweep (default: a hash of its plan).'
  parser:option '--retries':argname 'N':default(1):convert(tonumber)
    :description 'How often a cell is begun again whose process died (default 1).'
  parser:flag '--fail-fast':description 'No further cell after one that failed.'
  parser:flag '--allow-source-change':description 'Go on although the script is not what the sweep was planned with.'
  parser:flag '-n --dry-run':target 'dry_run':description 'Print the cells, and run nothing.'
  run_options.add_short(parser)
  parser:option '--threads':argname 'N':convert(run_options.to_count)
    :description 'Threads of each cell (default: cores / jobs).'
  parser:option '--fast-dev-run':argname '[=N]':convert(run_options.to_count)
    :description 'Every cell trains and evaluates N batches only (default 1).'
  parser:option '--mem-limit':argname 'SIZE':convert(run_options.to_bytes)
    :description 'Cap on native memory of all cells together, such as 8GiB.'
  parser:flag '-q --quiet':description 'No progress.'
  parser:flag '--all':description 'With status and top: every row.'
  parser:flag '--runs':description 'With rm: the runs too.'
  parser:flag '--json':description 'With ls, status and top: one JSON object per line.'
  parser:epilog('The same command again runs what is missing or failed, and nothing twice. Machines that share '
    .. 'RUNNER_STUDY_URL=postgresql://USER@HOST/NAME share the cells.')
end

sweep.normalise = run_options.normalise

local function action_of(args)
  local name = args.script
  if not room.has(ACTIONS, name) or host.stat(name) then return nil end
  return require('sweep.actions.' .. name)
end

local function check_words(args)
  for _, word in ipairs(args.words) do
    if not overrides.looks_like(word) and not word:find '^seeds=' then
      fail.usage("'%s' is not an override or an axis (path=value, path=a,b,c)", word)
    end
  end
end

function sweep.run(args, extra)
  local action = action_of(args)
  if action then
    local word = args.words[1]
    if #args.words > 1 then fail.usage("sweep %s takes one sweep, got '%s' too", args.script, args.words[2]) end
    local found = action.needs ~= 'none' and require('sweep.select').one(word or 'latest') or nil
    return action.run(found, args, extra)
  end
  if not args.script:find '[/.]' then
    if not host.stat(args.script) then
      fail.usage("'%s' is not a script, and not one of %s%s", args.script, table.concat(room.names(ACTIONS), ', '),
        nearest.hint(args.script, room.names(ACTIONS)))
    end
  end
  check_words(args)
  args.rest = extra.rest
  return require('sweep.run').run(args, extra.argv)
end

---Runs a sweep script that `runner run` was given.
---@param script string
---@param from table arguments of `run`
---@param extra { argv: string[], rest: string[] }
---@return integer code
function sweep.run_script(script, from, extra)
  local args = command_line.parse('sweep', sweep, { script, unpack(from.overrides) })
  for _, field in ipairs { 'seed', 'device', 'max_steps', 'epochs', 'max_time', 'accept_eta', 'fast_dev_run', 'threads',
    'mem_limit', 'name', 'dry_run', 'quiet' } do
    args[field] = from[field]
  end
  return sweep.run(args, extra)
end

return sweep
