-- Does the seed of a script decide everything? (guard G08) It is started three times, with two seeds, for a few
-- updates.
local fail = require 'fail'
local finding = require 'base.finding'
local guards = require 'guards.registry'
local host = require 'host'
local output_files = require 'base.output_files'
local read_file = require 'base.read_file'
local run_equality = require 'runs.equality'
local run_files = require 'runs.files'
local run_metrics = require 'runs.metrics'
local runner_process = require 'base.runner_process'

local seeds = {}

local UPDATES = 2 -- the second one depends on the first one's step

-- What must be equal in two starts with one seed, in the order of a training.
local PARTS = { { 'batch', 'first batches' }, { 'weights', 'initial weights' }, { 'losses', 'losses' },
  { 'model', 'weights' } }

-- What a start with a seed came to: of each train.fit its first batch, its weights before and after, its losses.
local function start(script, overrides, root, seed)
  local words = { script, unpack(overrides) }
  for _, word in ipairs { ('--fast-dev-run=%d'):format(UPDATES), '--seed', tostring(seed), '-q' } do
    words[#words + 1] = word
  end
  local output, code = runner_process.run(root, words)
  if code ~= 0 then
    io.stderr:write(output)
    fail.raise(code, 'doctor --seeds: a start with seed %d ended with exit code %d (its output is above)', seed, code)
  end
  host.setenv('RUNNER_RESULTS_DIR', root)
  local fits = {}
  for i, path in ipairs(run_equality.launch(script:match('[^/]*$'):gsub('%.lua$', ''))) do
    local manifest = run_files.document(path, 'manifest.json') or {}
    local losses = {}
    for line in run_metrics.lines(path, { train = true, eval = true }) do
      losses[#losses + 1] = ('%.17g'):format(line.loss or 0)
    end
    fits[i] = { batch = manifest.first_batch_sha256, weights = manifest.initial_weights_sha256,
      losses = table.concat(losses, ' '), model = read_file(path .. '/model.safetensors') }
  end
  if #fits == 0 then fail.data("doctor --seeds: '%s' left no run directory; does it call train.fit?", script) end
  return fits
end

-- What is wrong with the starts of seed 1, seed 2 and seed 1 again; an empty list when nothing is.
local function problems(one, two, again)
  local found = {}
  local function add(fit, text) found[#found + 1] = #one > 1 and ('fit %d: %s'):format(fit, text) or text end
  for i, fit in ipairs(one) do
    local other, same = two[i], again[i]
    if not same or not other then
      add(i, 'the three starts did not make the same number of updates')
    else
      if fit.batch == other.batch and fit.weights == other.weights then
        add(i, 'seeds 1 and 2 give equal first batches and equal weights: is a constant given to torch.manual_seed, '
          .. 'or is the model made before experiment.config?')
      end
      for _, part in ipairs(PARTS) do
        if fit[part[1]] ~= same[part[1]] then
          add(i, ('seed 1 gives different %s in two starts: is something seeded by the clock, or by the order of a '
            .. 'table?'):format(part[2]))
          break
        end
      end
    end
  end
  return found
end

---Starts the script with two seeds and with one of them again, each in a process of its own, for a few updates.
---@param script string
---@param overrides string[]
---@return table finding
---@return integer code exit code
function seeds.check(script, overrides)
  local root = os.tmpname()
  os.remove(root)
  local one, two, again = start(script, overrides, root .. '/1', 1), start(script, overrides, root .. '/2', 2),
    start(script, overrides, root .. '/3', 1)
  output_files.remove(root)
  local found = problems(one, two, again)
  local right = 'different seeds give different results, the same seed the same'
  local result = finding.new(#found == 0 and { right } or {}, {})
  for _, text in ipairs(found) do result:problem('FAIL', guards.say('G08', '%s', text)) end
  return result, #found > 0 and guards.find('G08').code or 0
end

return seeds
