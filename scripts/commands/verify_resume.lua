-- runner verify-resume SCRIPT [a.b=c ...] : trains 2k updates in one process, and k, then k more in a new process, and
-- compares every byte of parameters, optimiser, state and metrics (guard G26).
local console = require 'console'
local experiment = require 'experiment'
local fail = require 'fail'
local host = require 'host'
local output_files = require 'base.output_files'
local runner_process = require 'base.runner_process'
local run_equality = require 'runs.equality'
local run_files = require 'runs.files'
local run_metrics = require 'runs.metrics'
local run_options = require 'cli.run_options'

local command = { summary = 'Prove that a script resumes exactly.' }

local SAVED = 75 -- the exit code of --stop-after
local LONGEST_EPOCH = 200 -- updates; a first epoch up to this long is tried across its end too

function command.configure(parser)
  parser:argument 'script':description 'A Lua file that calls train.fit.'
  parser:argument 'overrides':args '*':description 'Changes of the config: a.b=c.'
  parser:option '--at':argname 'K,K,...'
    :description('Updates after which the training is interrupted (default 2,5, and 1 past the first epoch where that '
      .. 'is short).')
  run_options.add_threads(parser)
  parser:flag '--keep':description 'Keep the run directories that were made.'
end

local function train(root, words)
  local output, code = runner_process.run(root, words)
  if code ~= 0 and code ~= SAVED then
    io.stderr:write(output)
    fail.raise(code, 'verify-resume: the training ended with exit code %d (its output is above)', code)
  end
  return code
end

local function common_words(args)
  local words = { args.script, unpack(args.overrides) }
  if args.threads then words[#words + 1] = '--threads=' .. args.threads end
  if args.pin then words[#words + 1] = '--pin' end
  words[#words + 1] = '-q'
  return words
end

local function with(words, ...)
  local all = { unpack(words) }
  for _, word in ipairs { ... } do all[#all + 1] = word end
  return all
end

local function read_steps(text)
  local steps = {}
  for part in (text or '2,5'):gmatch '[^,]+' do
    local k = tonumber(part)
    if not k or k % 1 ~= 0 or k < 1 then fail.usage("--at: expected whole numbers of at least 1, got '%s'", part) end
    steps[#steps + 1] = k
  end
  if #steps == 0 then fail.usage '--at: expected at least one number' end
  return steps
end

-- Updates of an epoch, from how far the first update took the training.
local function epoch_steps(path)
  local first = run_metrics.lines(path, { train = true })()
  return first and math.floor(1 / first.epoch + 0.5)
end

-- Interrupts one training after k updates. Gives the differences of each of its fits, and where the whole one ended;
-- nil and how many updates there are when it ends before k.
local function check(root, words, name, k)
  local whole, parts = ('%s/%d-whole'):format(root, k), ('%s/%d-parts'):format(root, k)
  train(whole, with(words, '--stop-after', tostring(2 * k)))
  if train(parts, with(words, '--stop-after', tostring(k))) ~= SAVED then
    host.setenv('RUNNER_RESULTS_DIR', parts)
    local ran = run_equality.launch(name)
    if #ran == 0 then fail.data("verify-resume: '%s' left no run directory; does it call train.fit?", name) end
    return nil, run_files.state(ran[#ran]).step or 0
  end
  host.setenv('RUNNER_RESULTS_DIR', parts)
  train(parts, { 'resume', 'latest', '-q', '--stop-after', tostring(2 * k) })
  local found, last = {}, 0
  host.setenv('RUNNER_RESULTS_DIR', parts)
  local resumed = run_equality.launch(name)
  host.setenv('RUNNER_RESULTS_DIR', whole)
  local undisturbed = run_equality.launch(name)
  if #undisturbed == 0 then fail.data("verify-resume: '%s' left no run directory; does it call train.fit?", name) end
  if #resumed ~= #undisturbed then
    found[1] = ('the resumed script left %d runs, the other %d'):format(#resumed, #undisturbed)
  end
  for i = 1, math.min(#undisturbed, #resumed) do
    local differences, step = run_equality.compare(undisturbed[i], resumed[i])
    for _, text in ipairs(differences) do found[#found + 1] = text end
    last = step
  end
  return found, last, undisturbed[#undisturbed]
end

function command.run(args)
  if not host.stat(args.script) then fail.usage("script '%s' does not exist", args.script) end
  local name = args.script:match('[^/]*$'):gsub('%.lua$', '')
  if not experiment.valid_name(name) then fail.config("'%s' cannot be the name of an experiment", name) end
  local words, steps = common_words(args), read_steps(args.at)
  local root = os.tmpname()
  os.remove(root)
  local failed, i = 0, 1
  while steps[i] do
    local k = steps[i]
    local found, last, path = check(root, words, name, k)
    if not found then
      if args.at or i == 1 then
        fail.config('verify-resume: the training ends after %d updates, so it cannot be interrupted after %d and '
          .. 'nothing is proved; give a smaller --at, or a longer training', last, k)
      end
      steps[i] = nil -- one of the default places, beyond the end
      break
    end
    console.write(('k = %-6d %d updates: %s\n'):format(k, last,
      #found == 0 and 'equal: parameters, optimiser, state, metrics' or found[1]))
    for j = 2, #found do console.write(('           %s\n'):format(found[j])) end
    if #found > 0 then failed = failed + 1 end
    if i == #steps and not args.at and i == 2 then
      local epoch = epoch_steps(path)
      if epoch and epoch + 1 > steps[2] and epoch <= LONGEST_EPOCH then steps[3] = epoch + 1 end
    end
    i = i + 1
  end
  if failed > 0 then
    fail.raise(5, "verify-resume: %d of %d resumed trainings differ from the uninterrupted one; the run directories "
      .. "are in '%s'", failed, #steps, root)
  end
  if args.keep then
    console.note('runs are in ' .. root)
  else
    output_files.remove(root)
  end
  return 0
end

return command
