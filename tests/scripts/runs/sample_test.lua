-- runner sample: text of a run, from its end or a checkpoint, and bad input.
local json = require 'json'
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'
local trainings = require 'testing.trainings'

local TEXT = t.write_file(texts.words(4000), '.txt')
local ran = runs.run("print 'from the script'\n"
  .. trainings.characters(TEXT, { train = 'max_steps = 20' }) .. 'fit()')

-- stdout alone.
local function sampled(...)
  local words = { 'sample', ... }
  for i, word in ipairs(words) do words[i] = t.quote(word) end
  return t.shell(('env RUNNER_RESULTS_DIR=%s/results %s %s 2>/dev/null'):format(runs.root, runs.RUNNER,
    table.concat(words, ' ')))
end

t.test('a run gives text that goes on from a prompt, the same each time', function()
  t.equal(ran.code, 0, ran.output)
  local first, code = sampled(ran.folder, '--prompt', 'the ', '--length', '30')
  t.equal(code, 0)
  t.equal(#first, 4 + 30 + 1)
  t.matches(first, '^the ')
  t.equal(sampled(ran.folder, '--prompt', 'the ', '--length', '30'), first)
  t.is_true(sampled(ran.folder, '--prompt', 'the ', '--length', '30', '--seed', '1') ~= first)
  t.equal(#sampled(ran.folder, '--length', '5', '-q') > 6, true) -- a prompt out of the text
end)

t.test('several texts are numbered, or lines of JSON', function()
  local text = sampled(ran.folder, '--prompt', 'a', '--prompt', 'the', '-n', '2', '--length', '4')
  for i = 1, 4 do t.contains(text, ('--- %d of 4\n'):format(i)) end
  local lines = {}
  for line in sampled(ran.folder, '--prompt', 'a', '-n', '3', '--length', '4', '--json'):gmatch '[^\n]+' do
    lines[#lines + 1] = json.decode(line)
  end
  t.equal(#lines, 3)
  t.fields(lines[3], { prompt = 'a', seed = 2 })
  t.equal(#lines[1].text, 4)
end)

t.test('it says how fast, on stderr, and leaves the run as it was', function()
  local before = runs.read(ran.folder .. '/metrics.jsonl')
  local output, code = runs.command('sample', ran.folder, '--prompt', 'a', '--length', '9')
  t.equal(code, 0, output)
  t.matches(output, '\n1 text, 9 characters in [%d.]+ s, [%d,]+ a second\n')
  t.matches(output, 'weights +%S+/model.safetensors\n')
  t.equal(runs.read(ran.folder .. '/metrics.jsonl'), before)
  local all = t.shell(('ls %s/results/%s'):format(runs.root, ran.name))
  t.equal(select(2, all:gsub('%d+%-%d+%-%x+', '')), 1)
end)

t.test('a checkpoint can be named, and a missing one says which there are', function()
  t.equal(select(2, sampled(ran.folder, '--from', 'latest', '--length', '3')), 0)
  local output, code = runs.command('sample', ran.folder, '--from', 'step-00009999')
  t.equal(code, 5, output)
  t.matches(output, "has no checkpoint 'step%-00009999'; it has [^\n]*step%-00000020")
end)

t.test('bad input is one clear message', function()
  local function refused(code, words, ...)
    local output, got = runs.command('sample', ran.folder, ...)
    t.equal(got, code, output)
    t.contains(output, words)
  end
  refused(4, "character '☃' (U+2603) is not in the vocabulary of", '--prompt', 'a ☃')
  refused(3, 'the prompt must hold at least one token', '--prompt', '')
  refused(2, "expected a whole number of at least 1, got '0'", '-n', '0')
  refused(2, "'warm' is not a number", '--temperature', 'warm')
  refused(3, 'top_p must be in (0, 1], got 2', '--top-p', '2')
end)

t.test('a run whose script is gone says where its copy is', function()
  local other = runs.run(trainings.characters(TEXT, { train = 'max_steps = 2' }) .. 'fit()')
  os.remove(('%s/%s.lua'):format(runs.root, other.name))
  local output, code = runs.command('sample', other.folder)
  t.equal(code, 5, output)
  t.matches(output, "its script '[^']+' is not there any more; put it back %(the run's own copy is in '[^']+/src'%)")
end)

t.test('a run that was not trained on a text has none', function()
  local other = runs.run([[
local data, nn, train, torch = require 'data', require 'nn', require 'train', require 'torch'
local x = torch.randn { 40, 3 }
train.fit { model = nn.Linear { 3, 1 }, data = data.tensors { x = x, y = x:narrow(1, 0, 1), batch = 10 }, loss = 'mse',
  options = { epochs = 1 } }]])
  t.equal(other.code, 0, other.output)
  local output, code = runs.command('sample', other.folder)
  t.equal(code, 3, output)
  t.contains(output, 'was not trained on a text (data.tensors); there is nothing to draw')
end)
