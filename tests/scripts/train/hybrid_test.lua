-- The callback hybrid: phases in the metrics, resuming within a predicted block, and what is refused.
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'
local trainings = require 'testing.trainings'

local TEXT = t.write_file(texts.words(4000), '.txt')
local WORDS = 'warmup_steps = 4, full_steps = 3, max_predict = 4, threshold = 0.2, sigma = 1e6'

local function script(hybrid, more)
  return trainings.characters(TEXT, { train = 'max_steps = 30', more = more or '' })
    .. ('fit { callbacks = { { "hybrid", %s } } }'):format(hybrid)
end

t.test('each step has its phase, and predicted ones no loss', function()
  local ran = runs.run(script(WORDS))
  t.equal(ran.code, 0, ran.output)
  t.matches(ran.output, 'hybrid: 4 steps of warm%-up, %d+ full, %d+ predicted, %d+ of correction; %d+ of %d+ blocks')
  local counts, blocks = {}, 0
  for _, line in ipairs(ran.lines.train) do
    counts[line.phase] = (counts[line.phase] or 0) + 1
    if line.phase == 'predict' then
      t.is_true(type(line.loss) ~= 'number')
      blocks = blocks + (line.delta_norm and 1 or 0)
    else
      t.is_true(line.loss > 0)
    end
  end
  t.equal(counts.warmup, 4)
  t.is_true(counts.predict > 0 and blocks > 0)
end)

t.test('it resumes within any block', function()
  for _, arm in ipairs { 'extrapolate', 'linear_fit' } do
    local path = runs.write('hybrid_' .. arm .. '.lua', script(WORDS .. (', arm = "%s"'):format(arm)))
    local output, code = runs.command('verify-resume', path, '--at', '9,10,12')
    t.equal(code, 0, output)
  end
end)

t.test('with the option forecast each loss has a forecast beside it, which is resumed too', function()
  local words = 'warmup_steps = 50, full_steps = 5, max_predict = 4, threshold = 0.2, sigma = 1e6, forecast = true'
  local text = trainings.characters(TEXT, { train = 'max_steps = 80' })
    .. ('fit { callbacks = { { "hybrid", %s } } }'):format(words)
  local ran = runs.run(text)
  t.equal(ran.code, 0, ran.output)
  t.matches(ran.output, 'hybrid: the loss forecast was off by %d%.%d+, the loss before by %d%.%d+, over %d+ steps')
  local forecasts = 0
  for _, line in ipairs(ran.lines.train) do forecasts = forecasts + (line.forecast and 1 or 0) end
  t.is_true(forecasts > 10)
  local output, code = runs.command('verify-resume', runs.write('hybrid_forecast.lua', text), '--at', '60')
  t.equal(code, 0, output)
end)

t.test('a threshold that the confidence cannot reach is told before anything is trained', function()
  local ran = runs.run(script 'warmup_steps = 4, full_steps = 3, threshold = 0.85')
  t.equal(ran.code, 0, ran.output)
  t.contains(ran.output, 'hybrid: nothing will be predicted: the confidence is 0.5, only predicted blocks change it, '
    .. 'and threshold is 0.85')
  t.contains(ran.output, ' 0 predicted')
end)

t.test('what means nothing is refused', function()
  local function refused(words, hybrid, more)
    local ran = runs.run(script(hybrid, more))
    t.equal(ran.code, 3, ran.output)
    t.contains(ran.output, words)
  end
  refused('warmup_steps', 'warmup_steps = 0')
  refused('threshold must be between 0 and 1, got 1', 'threshold = 1')
  refused("'extrapolat'; nearest: extrapolate", 'arm = "extrapolat"')
end)
