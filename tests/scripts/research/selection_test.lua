-- Selective training and several texts as users run them.
local host = require 'host'
local runs = require 'testing.runs'
local t = require 'testing'

local function write(name, words)
  local pieces = {}
  for i = 1, 600 do pieces[i] = ('%s %s %d '):format(words[i * i % 7 % #words + 1], words[i % #words + 1], i % 10) end
  runs.write(name, table.concat(pieces))
end
write('a.txt', { 'cat', 'dog', 'owl' })
write('b.txt', { 'red', 'green', 'blue' })

local HEAD = ([[
local experiment, data, nn, train = require 'experiment', require 'data', require 'nn', require 'train'
local cfg = experiment.config {
  train = { epochs = 1, seed = 3, expect_loss = 3.6 }, optim = { name = 'adamw', lr = 0.01 },
  domains = { texts = { '%s/a.txt', '%s/b.txt' }, batch = 4, seq = 12, batches = 12, allow_leak = true },
  select = { rule = 'path', log_every = 5 }, tscore = { every = 1 }, guards = { init_loss = 'off' },
  checkpoint = { every = { steps = 4 } } }
local text = data.domains(cfg.domains)
local net = nn.Sequential {
  { 'embed', nn.Embedding { text.vocab_size, 8 } }, { 'tree', nn.Tree { { 2, 2 }, 8, 2, 12, dropout = 0.1 } },
  { 'norm', nn.LayerNorm { 8 } }, { 'head', nn.Linear { 8, text.vocab_size } } }
local fit = { model = net, data = text, optim = cfg.optim, options = cfg.train, tscore = cfg.tscore,
  select = cfg.select,
  callbacks = { 'domain_matrix' } }
]]):format(runs.root, runs.root)
local SCRIPT = HEAD .. [[
local f = train.fit(fit)
print('ended', f.steps, #f.domains, f.domains[1][1] > f.domains[3][2], f.selection and f.selection.report.steps)]]

local whole = runs.run(SCRIPT)

t.test('a training on two texts one after the other is evaluated on both before, between and after', function()
  t.equal(whole.code, 0, whole.output)
  t.contains(whole.output, 'ended\t24\t3\ttrue\t24')
  local evals = whole.lines.domain_eval
  t.equal(#evals, 3)
  t.equal(evals[1].step, 0)
  t.equal(evals[2].step, 12)
  t.equal(evals[3].step, 24)
  t.is_true(evals[2].a_loss < evals[1].a_loss and evals[3].b_loss < evals[2].b_loss)
  local manifest = runs.json(whole.folder .. '/manifest.json')
  t.equal(manifest.data[1].name, 'a')
  t.equal(manifest.data[2].name, 'b')
end)

t.test('what was selected is logged, and reported at the end', function()
  local lines = whole.lines.selection
  t.equal(lines[1].step, 5)
  t.equal(lines[2].step, 10)
  t.equal(lines[#lines].step, 24)
  local report = whole.lines.selection_report[1].report
  t.equal(#report.nodes, 7)
  t.fields(report.nodes[1], { label = 'r', count = 24 })
  local first, second = 0, 0
  for i = 1, 4 do first, second = first + report.histogram[1][i], second + report.histogram[2][i] end
  t.equal(first, 12)
  t.equal(second, 12)
  t.matches(whole.output, 'select%s+path: touched [%d.]+ %% of all parameters an update, effective [%d.]+ %%')
end)

t.test('a node that no update selected has not moved at all', function()
  local ran = runs.run(HEAD:gsub("rule = 'path'", "rule = 'none', shared = 0") .. [[
local before = {}
for i, p in ipairs(net:named_parameters()) do before[i] = p.tensor:clone() end
fit.guards = { init_loss = 'off', no_learning = 'off' }
pcall(train.fit, fit)
local torch, moved = require 'torch', 0
for i, p in ipairs(net:named_parameters()) do moved = moved + (torch.equal(before[i], p.tensor) and 0 or 1) end
print('moved', moved)]])
  t.contains(ran.output, 'moved\t0')
end)

t.test('an interrupted training ends as one that was not, counts included', function()
  local output, code = t.runner('verify-resume', runs.write('selected.lua', SCRIPT), '--at', '5', '--at', '13')
  t.equal(code, 0, output)
end)

t.test('mistakes in a selection are named', function()
  local function message(from, to, more)
    local ran = runs.run((HEAD:gsub(from, to)) .. (more or 'train.fit(fit)'))
    return ran.output, ran.code
  end
  local output, code = message("rule = 'path'", "rule = 'pth'")
  t.equal(code, 3, output)
  t.contains(output, "select.rule 'pth' is not known; use one of all, cooldown, lowest, none, path, published")
  output, code = message("rule = 'path'", "rule = 'topk', k = 9")
  t.equal(code, 3, output)
  t.contains(output, 'select.k 9 is outside of 1 to 7, the number of nodes')
  output, code = message('nn.Tree { { 2, 2 }', 'nn.Tree { { 2, 0 }')
  t.is_true(code ~= 0)
  t.contains(output, ': nn.Tree: branching {2, 0}: level 2 has 0 children a node, expected at least 1\n')
  output, code = message('nn.Tree { { 2, 2 }, 8, 2', 'nn.Tree { { 2, 2 }, 8, 3')
  t.is_true(code ~= 0)
  t.contains(output, ': nn.Tree: nhead must divide d_model, got 3 heads for 8\n')
  output, code = message("{ 'tree', nn.Tree { { 2, 2 }, 8, 2, 12, dropout = 0.1 } },", '')
  t.equal(code, 3, output)
  t.contains(output, 'the model has 0 trees of nodes')
end)

t.test('texts that are missing, too short or not two of a kind are named', function()
  local function message(from, to)
    local ran = runs.run((HEAD:gsub(from, to)))
    return ran.output, ran.code
  end
  local output, code = message('/b%.txt', '/none.txt')
  t.equal(code, 4, output)
  t.contains(output, ("domains.texts[2].file '%s/none.txt' does not exist"):format(runs.root))
  output, code = message('%S+/b%.txt', "'" .. runs.root .. '/bb.txt')
  t.equal(code, 4, output)
  t.matches(output, '; nearest: %S+/b%.txt\n')
  output = message("'%S+/b%.txt'", "'nofile.txt'")
  t.contains(output, "domains.texts[2].file 'nofile.txt' does not exist; paths are relative to the working folder '/")
  output = message("'%S+/b%.txt'", "'kjv'")
  t.contains(output, "; the corpus of that name is {corpus=kjv}")
  output = message("'%S+/b%.txt'", '{ file = "/tmp" }')
  t.contains(output, "domains.texts[2].file '/tmp' is a folder, expected a text file")
  output, code = message("'%S+/b%.txt'", '{ corpus = "kjv", bytes = -5 }')
  t.equal(code, 3, output)
  t.contains(output, 'domains.texts[2].bytes must not be negative (0: all), got -5')
  runs.write('short.txt', 'too short')
  output, code = message('/b%.txt', '/short.txt')
  t.equal(code, 4, output)
  t.contains(output, "domain 'short'")
  t.contains(output, 'are too few for a window of 12')
  output, code = message("'%S+/b%.txt'", '{ name = "x" }')
  t.equal(code, 3, output)
  t.contains(output, 'domains.texts[2] needs either a file or a corpus')
  output, code = message("'%S+/b%.txt'", '{ corpus = "kjb" }')
  t.equal(code, 4, output)
  t.contains(output, "corpus 'kjb' is not known; nearest: kjv; for a text of your own set domains.texts[2].file")
end)

t.test('words: the vocabulary is that of the train splits, unknown words are told', function()
  local ran = runs.run((HEAD:gsub('batch = 4, seq = 12', 'words = 7, batch = 4, seq = 6')) .. [[
print('vocabulary', text.vocab_size, text:decode(text:encode('CAT zebra')))]])
  t.equal(ran.code, 0, ran.output)
  t.contains(ran.output, 'vocabulary\t7\t')
  t.matches(ran.output, "domain 'a': [%d.]+ %% of the train and [%d.]+ %% of the val words are unknown")
  t.is_true(host.stat(runs.root .. '/a.txt') ~= nil)
end)

t.test('text is drawn from a model of several texts, in characters and in words', function()
  local more = [[fit.callbacks[2] = { 'sample_text', prompt = '%s', length = 4 }
train.fit(fit)
print('drawn', #train.generate(net, text, { prompt = '%s', length = 5 }))]]
  local ran = runs.run(HEAD .. more:format('cat', 'dog'))
  t.equal(ran.code, 0, ran.output)
  t.contains(ran.output, 'drawn\t5')
  t.equal(#ran.lines.sample, 1)
  t.equal(#ran.lines.sample[1].text, 4)
  t.contains(ran.output, 'sample\ncat' .. ran.lines.sample[1].text)
  ran = runs.run((HEAD:gsub('batch = 4, seq = 12', 'words = 12, batch = 4, seq = 6')) .. more:format('CAT dog', 'cat'))
  t.equal(ran.code, 0, ran.output)
  local words = select(2, ran.lines.sample[1].text:gsub('%S+', ''))
  t.equal(words, 4)
  t.contains(ran.output, 'sample\nCAT dog ' .. ran.lines.sample[1].text)
  ran = runs.run(HEAD .. more:format('ROMEO', 'cat'))
  t.equal(ran.code, 0, ran.output)
  t.matches(ran.output, "sample failed: [^\n]*character 'R'[^\n]*vocabulary")
  ran = runs.run(HEAD .. [[train.generate(net, {}, { prompt = 'cat' })]])
  t.contains(ran.output, "train.generate: argument 'text' must be the data of data.text or data.domains, got table")
end)

t.test('what an update moved of each node, and what the updates read, is logged', function()
  local ran = runs.run((HEAD:gsub('batches = 12', 'batches = 30')) .. [[train.fit(fit)]])
  t.equal(ran.code, 0, ran.output)
  local line, last = ran.lines.selection[2], ran.lines.selection_report[1]
  t.equal(#line.node_delta, 7)
  for _, node in ipairs(last.report.nodes) do
    t.equal(node.mean_delta > 0, node.count > 0, node.label)
    t.is_true(line.node_delta[node.node + 1] >= 0)
  end
  t.equal(last.report.nodes[1].number, 0)
  t.equal(last.report.nodes[7].number, 22)
  t.equal(#last.balance.levels, 2)
  t.fields(last, { host_syncs_per_step = 0, optimizer_reads_per_step = 0 })
  t.is_true(last.host_reads_per_step >= 1)
  t.matches(ran.output,
    "reads%s+host_syncs_per_step 0, [%d.]+ values read per update in the host's memory, 0 of them by the optimiser")
end)

t.test('every step is logged once, the last one too', function()
  local ran = runs.run(HEAD:gsub('log_every = 5', 'log_every = 6') .. 'train.fit(fit)')
  t.equal(ran.code, 0, ran.output)
  local steps = {}
  for i, line in ipairs(ran.lines.selection) do steps[i] = line.step end
  t.equal(steps, { 6, 12, 18, 24 })
end)

t.test('under masked gradients the report says nothing of what was touched', function()
  local masked = HEAD:gsub("rule = 'path'", "rule = 'none', apply = 'gradient', shared = 0")
    :gsub("init_loss = 'off'", "init_loss = 'off', no_learning = 'off'")
  local ran = runs.run(masked .. 'train.fit(fit)')
  t.equal(ran.code, 0, ran.output)
  t.contains(ran.output,
    'touched NA (the gradients are masked, every weight may move), 0.0 % of them left; leaf Gini NA\n')
  local line = ran.lines.selection[1]
  t.equal(line.touched_pct, nil)
  t.equal(line.dead_n, nil)
  t.equal(ran.lines.selection_report[1].report.apply, 'gradient')
end)

t.test('with accumulated batches of several texts each text gets its share of the selection', function()
  local accumulated = HEAD:gsub('batches = 12', 'batches = 12, interleaved = true')
    :gsub('epochs = 1', 'epochs = 1, accumulate = 2'):gsub("\n  callbacks = { 'domain_matrix' }", '')
  local ran = runs.run(accumulated .. 'train.fit(fit)')
  t.equal(ran.code, 0, ran.output)
  local sums = {}
  for d, row in ipairs(ran.lines.selection_report[1].report.histogram) do
    sums[d] = 0
    for _, count in ipairs(row) do sums[d] = sums[d] + count end
  end
  t.equal(sums, { 6, 6 })
end)

t.test('domains evaluated after each phase need a training of one epoch', function()
  local ran = runs.run((HEAD:gsub('epochs = 1', 'epochs = 2')) .. 'train.fit(fit)')
  t.equal(ran.code, 3, ran.output)
  t.contains(ran.output, 'callback domain_matrix needs train.epochs=1, got 2')
  t.contains(ran.output, 'repeat them by phases={1,2,1,2}')
end)

t.test('no shares, and no interval of the log, are refused', function()
  for override, message in pairs { ['select.scales=[]'] = 'select.scales is empty',
    ['select.log_every=0'] = "option 'log_every' must be at least 1, got 0" } do
    local ran = runs.run(HEAD .. 'train.fit(fit)', override)
    t.equal(ran.code, 3, ran.output)
    t.contains(ran.output, message)
  end
end)

t.test('lazy moments and dampening are refused together', function()
  local dampened = HEAD:gsub("name = 'adamw'", "name = 'sgd', momentum = 0.9, dampening = 0.5")
    :gsub("rule = 'path'", "rule = 'path', moments = 'lazy'")
  local ran = runs.run(dampened .. 'train.fit(fit)')
  t.equal(ran.code, 3, ran.output)
  t.contains(ran.output,
    "select.moments 'lazy' does not go with optim.dampening 0.5; use dampening 0 or moments 'global'")
end)

t.test('guard G24: a domain whose val stands in its train is refused and named', function()
  local letters = {}
  for i = 1, 4000 do letters[i] = string.char(97 + (i * i * 7 + math.floor(i / 3) * 11) % 2357 % 26) end
  runs.write('fresh.txt', table.concat(letters))
  runs.write('again.txt', ('The same sentence comes again and again, eighty characters long, it never ends. '):rep(60))
  local leaking = HEAD:gsub('/b%.txt', '/again.txt'):gsub('/a%.txt', '/fresh.txt'):gsub(', allow_leak = true', '')
  local ran = runs.run(leaking .. 'train.fit(fit)')
  t.equal(ran.code, 4, ran.output)
  t.contains(ran.output, "G24 validation: ")
  t.contains(ran.output, "characters of domain 'again': val also occur in train (100 %)")
  t.contains(ran.output, 'to accept: domains.allow_leak=true')
  ran = runs.run(leaking .. 'train.fit(fit)', 'domains.allow_leak=true')
  t.equal(ran.code, 0, ran.output)
end)

t.test('guard G45: the targets of several texts are the inputs shifted by one', function()
  local ran = runs.run(HEAD .. [[
local plain = text.train
fit.data = setmetatable({ train = require('lanthorn').data.from_function(function(index)
  local x, y = plain:get(index)
  return x:narrow(1, 0, 11), y:narrow(1, 1, 11)
end, { count = plain:count(), rows = plain:rows(), targets = plain:targets() }) }, { __index = text })
train.fit(fit)]])
  t.equal(ran.code, 4, ran.output)
  t.contains(ran.output, 'targets are the inputs shifted by 2, expected a shift by 1')
end)

t.test('each training on shared texts is recorded and measured with the first batch that it trains on', function()
  local ran = runs.run((HEAD:gsub('epochs = 1', 'epochs = 2'):gsub("\n  callbacks = { 'domain_matrix' }", '')) .. [[
local host, torch = require 'host', require 'torch'
local dkjson = require 'dkjson'
local hashes = {}
for i = 1, 2 do
  fit.model = nn.Sequential { { 'embed', nn.Embedding { text.vocab_size, 8 } }, { 'tree', nn.Tree { { 2 }, 8, 2, 12 } },
    { 'head', nn.Linear { 8, text.vocab_size } } }
  local done = train.fit(fit)
  hashes[i] = dkjson.decode(io.open(done.run .. '/manifest.json'):read '*a').first_batch_sha256
end
print('same', hashes[1] == hashes[2], hashes[1] == text.train:hash(0))
text.train:get(0, 1)
print('first', hashes[1] == text.train:hash(0))]])
  t.equal(ran.code, 0, ran.output)
  t.contains(ran.output, 'same\ttrue\tfalse')
  t.contains(ran.output, 'first\ttrue')
end)

local TWICE = HEAD .. [[
local first = train.fit(fit)
fit.model = nn.Sequential { { 'embed', nn.Embedding { text.vocab_size, 8 } }, { 'tree', nn.Tree { { 2 }, 8, 2, 12 } },
  { 'head', nn.Linear { 8, text.vocab_size } } }
fit.callbacks = { 'domain_matrix', { name = 'limit', every = 1, on_step = function(_, r)
  if r.step == 9 and not os.getenv 'GO_ON' then os.exit(9) end
end } }
fit.checkpoint = nil
train.fit(fit)
local s = first.selection
print('first', s.report.steps, s.effective, #s.blocks, #first.domains, first.domains[3][1],
  first.step_median_s ~= nil)]]

-- The script ends in its second training, is resumed, and says of the first what it says when nothing disturbs it.
local function check_twice(script, said)
  local ran = runs.run(script, '-q')
  t.equal(ran.code, 9, ran.output)
  local go_on = 'GO_ON=1 RUNNER_RESULTS_DIR=' .. runs.root .. '/results ' .. runs.RUNNER
  local output, code = t.shell(('%s resume %s'):format(go_on, ran.name))
  t.equal(code, 0, output)
  t.matches(output, said)
  local expected = t.shell(('%s %s -q'):format(go_on, runs.write('whole.lua', script))):match 'first\t[^\n]*'
  t.matches(expected, 'first\t24\t')
  t.contains(output, expected)
end

t.test('resumed in its second training, a script has of the first what it had: selection, domains, a step', function()
  check_twice(TWICE, 'finished%s+%S+: 24 updates, loaded')
end)

t.test('a finished training without a checkpoint is trained anew when its script is resumed', function()
  check_twice(TWICE:gsub('local first', 'fit.checkpoint = { off = true }\nlocal first', 1),
    'again%s+%S+ is over, but left no checkpoint')
end)
