-- The K-1 models and experiments.
local data = require 'data'
local host = require 'host'
local k1 = require 'research.k1'
local models = require 'models'
local optim = require 'optim'
local run_equality = require 'runs.equality'
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'
local torch = require 'torch'

local function count(name, shape)
  local m = { branching = { 3, 3 }, d_model = 128, heads = 4, ff = 256, dropout = 0, forward = 'level_mean' }
  for key, value in pairs(shape or {}) do m[key] = value end
  return k1.build(name, m, shape and shape.vocab or 10000, 64):parameter_count()
end

t.test('trees and their dense twins have the parameters that were published', function()
  t.equal(count 'tree', 4300688)
  t.equal(count('tree', { branching = { 4, 3, 2 } }), 8010128)
  t.equal(count 'dense_4', 3108368)
  t.equal(count 'dense_deep', 4300688)
  t.equal(count 'dense_wide', 4293008)
  t.equal(count('tree', { vocab = 65 }), 1747393)
  t.equal(count('tree', { vocab = 65, d_model = 64, ff = 128 }), 447745)
end)

t.test('the parameters of a level are told with its level', function()
  local sum = 0
  local tree = models.k1_tree { vocab = 65, max_len = 64, branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128 }
  for _, layer in ipairs(tree:layers()) do
    sum = sum + layer.parameters
    if layer.name == 'tree.level1' then t.equal(layer.parameters, 3 * 33472) end
  end
  t.equal(sum, 447745)
end)

t.test('an untrained tree has the loss that its head implies', function()
  for _, case in ipairs { { 128, 10000 }, { 128, 65 }, { 64, 65 } } do
    torch.manual_seed(1)
    local net = models.k1_tree { vocab = case[2], d_model = case[1], ff = 2 * case[1] }
    local x = torch.randint(case[2], { 8, 64 })
    local loss = torch.cross_entropy_loss(net(x):reshape { -1, case[2] }, torch.randint(case[2], { 8 * 64 })):item()
    t.near(loss, k1.expected_loss(case[2], case[1]), 0.2)
  end
end)

t.test('no logit sees a later token, in either mode', function()
  for _, forward in ipairs { 'level_mean', 'tree' } do
    local net = models.k1_tree { vocab = 20, max_len = 12, d_model = 16, ff = 16, forward = forward }
    local a = torch.randint(20, { 2, 12 })
    local b = a:clone()
    b:narrow(1, 7, 5):random_(0, 20)
    t.is_true(torch.equal(net(a):narrow(1, 0, 7), net(b):narrow(1, 0, 7)))
  end
end)

t.test('a sequence longer than the positions is an error that says so', function()
  local net = models.k1_tree { vocab = 20, max_len = 8, d_model = 16, ff = 16 }
  local ok, message = pcall(net, torch.randint(20, { 2, 9 }))
  t.equal(ok, false)
  t.contains(tostring(message), '9')
  t.contains(tostring(message), '8')
end)

t.test('targets are the next token: "the same as this one" can be learnt', function()
  runs.write('same.txt', ('aaaaaaaaaabbbbbbbbbb'):rep(100))
  local text = data.domains { texts = { runs.root .. '/same.txt' }, batch = 2, seq = 5 }
  local x, y = text.train:get(0)
  t.is_true(torch.equal(x:narrow(1, 1, 4), y:narrow(1, 0, 4)))
end)

t.test('the published loss is that of the token after the next', function()
  local x, y = torch.randint(20, { 3, 8 }), torch.randint(20, { 3, 8 })
  local logits = torch.randn { 3, 8, 20 }
  local loss, targets = k1.t_plus_2(function() return logits end, x, y)
  local expected = 0
  for b = 0, 2 do
    for i = 0, 6 do expected = expected - logits[b][i]:log_softmax(0)[y[b][i + 1]:item()]:item() / 21 end
  end
  t.near(loss:item(), expected, 1e-5)
  t.equal(targets, 21)
end)

t.test('without a leaf the mean is over the others, in either mode, and the leaf is put back', function()
  local x = torch.randint(20, { 2, 8 })
  for _, forward in ipairs { 'level_mean', 'tree' } do
    torch.manual_seed(4)
    local net = models.k1_tree { vocab = 20, max_len = 8, branching = { 2 }, d_model = 16, ff = 16, forward = forward }
    local report = { nodes = { { node = 0, level = 0 }, { node = 1, level = 1 }, { node = 2, level = 1 } } }
    local function sum() return net(x):square():sum():item() end
    local before = sum()
    local without = k1.loss_without(net, report.nodes[2], report, sum)
    t.equal(sum(), before)
    t.error_matches(function() k1.loss_without(net, report.nodes[2], report, function() error 'no batch' end) end,
      'no batch')
    t.equal(sum(), before)
    t.equal(k1.loss_without(net, report.nodes[1], report, sum), nil)
    -- The other leaf alone: a chain whose leaf has its weights.
    local chain = models.k1_tree {
      vocab = 20, max_len = 8, branching = { 1 }, d_model = 16, ff = 16, forward = forward }
    local from, to = net:named_parameters(), chain:named_parameters()
    torch.no_grad(function()
      for i, parameter in ipairs(to) do
        local whole = from[i].tensor
        parameter.tensor:copy_(whole:size(0) == 2 and parameter.tensor:size(0) == 1 and whole:narrow(0, 1, 1) or whole)
      end
    end)
    local alone = chain(x):square():sum():item()
    t.near(without / alone, 1, 1e-5)
    t.is_true(math.abs(before / alone - 1) > 1e-4)
  end
end)

t.test('an update of one node alone changes the loss, and is put back', function()
  torch.manual_seed(2)
  local net = models.k1_tree { vocab = 20, max_len = 8, branching = { 2 }, d_model = 16, ff = 16 }
  local x, y = torch.randint(20, { 4, 8 }), torch.randint(20, { 4, 8 })
  local function loss() return torch.cross_entropy_loss(net(x):reshape { -1, 20 }, y:reshape { -1 }) end
  loss():backward()
  local before, update = loss():item(), {}
  for _, parameter in ipairs(net:named_parameters()) do update[parameter.name] = parameter.tensor.grad * -0.05 end
  local report = { nodes = { { node = 0, level = 0 }, { node = 1, level = 1 }, { node = 2, level = 1 } } }
  for _, node in ipairs(report.nodes) do
    local after = k1.loss_with_update(net, node, report, update, function() return loss():item() end)
    t.is_true(after < before, node.node)
    t.near(loss():item(), before, 0)
  end
end)

t.test('the norms of nodes can be read alone, and are those of the report', function()
  torch.manual_seed(3)
  local net = models.k1_tree { vocab = 20, max_len = 8, branching = { 2 }, d_model = 16, ff = 16 }
  local adam = optim.Adam(net, { lr = 1e-3 })
  local selection = optim.select(adam, net, { rule = 'path' })
  k1.loss_of(net, torch.randint(20, { 4, 8 }), torch.randint(20, { 4, 8 })):backward()
  adam:step()
  for i, norm in ipairs(selection:score():tolist()) do t.equal(norm, selection:report().nodes[i].score) end
  t.equal(selection:score().shape, { 3 })
end)

-- What the experiments do only after some updates: phases, anchors, specialists.
local SMALL = { '-q', 'domains.seq=16', 'model.d_model=16', 'model.ff=16', 'eval.val_cap=2', 'guards.no_learning=off',
  'domains.allow_leak=true' }

-- The word that gives an experiment three small texts.
local function small_texts()
  local pieces = {}
  for i, words in ipairs { { 'owl ', 'cat ', 'cow ' }, { 'x = 1\n', 'y = f(x)\n' }, { 'And ', 'LORD ', 'said ' } } do
    for j = 1, 700 do pieces[j] = words[j * j % 7 % #words + 1] end
    runs.write(('small%d.txt'):format(i), table.concat(pieces))
  end
  return ('domains.texts=[%s/small1.txt,%s/small2.txt,%s/small3.txt]'):format(runs.root, runs.root, runs.root)
end

local function small(name, ...)
  local words = { small_texts(), ... }
  for _, word in ipairs(SMALL) do words[#words + 1] = word end
  local output, code = runs.command('experiments/' .. name .. '.lua', unpack(words))
  t.equal(code, 0, output)
  return output
end

-- Two arms of two seeds each.
local SEEDS = [[
local experiment, data, k1, arms = require 'experiment', require 'data', require 'research.k1', require 'arms'
local cfg = experiment.config {
  domains = { texts = { '%s/seeds.txt' }, batch = 2, seq = 8, batches = 12, allow_leak = true },
  model = { branching = { 2 }, d_model = 8, heads = 2, ff = 8, dropout = experiment.number(0), forward = 'tree' },
  train = { epochs = 1 }, optim = { lr = 1e-3 }, eval = { val_cap = 1 }, guards = { init_loss = 'off' } }
local text = data.domains(cfg.domains)
local function arm(name)
  return { name, function(seed) return (k1.train(cfg, text, { model = name, seed = seed })) end }
end
arms.run { seeds = { 1, 2 }, arms = { arm 'tree', arm 'dense_4' } }
]]

-- Of each training of the newest launch: its folder, seed and the hash of its first batch.
local function fits(ran)
  local root, found = ran.folder:match '^(.*)/latest$', {}
  for _, name in ipairs(host.listdir(root)) do
    local folder = root .. '/' .. name
    if name ~= 'latest' and host.stat(folder .. '/manifest.json') then
      local manifest = runs.json(folder .. '/manifest.json')
      found[manifest.fit] = { folder = folder, seed = manifest.seed, batch = manifest.first_batch_sha256 }
    end
  end
  return found
end

t.test('windows follow the seed of a training, resumed or not, unless domains.seed holds them', function()
  local words = {}
  for i = 1, 600 do words[i] = ({ 'owl ', 'cat ', 'cow ' })[i * i % 7 % 3 + 1] end
  runs.write('seeds.txt', table.concat(words))
  local script = SEEDS:format(runs.root)
  local ran = runs.run(script, '-q')
  t.equal(ran.code, 0, ran.output)
  local whole = fits(ran)
  t.equal(whole[1].seed, 1)
  t.equal(whole[2].seed, 1)
  t.equal(whole[3].seed, 2)
  t.equal(whole[4].seed, 2)
  t.equal(whole[1].batch, whole[2].batch)
  t.equal(whole[3].batch, whole[4].batch)
  t.is_true(whole[1].batch ~= whole[3].batch)
  local text = data.domains { texts = { runs.root .. '/seeds.txt' }, batch = 2, seq = 8, batches = 12, seed = 1 }
  t.is_true(text:with_seed(1) == text)
  t.is_true(text:with_seed(2) == text:with_seed(2))
  t.equal(text:with_seed(2).train:inspect().sha256, whole[3].batch)

  local second = runs.run((script:gsub('seeds = { 1, 2 }', 'seeds = { 2 }')), '-q', '--stop-after', '5')
  t.equal(second.code, 75, second.output)
  local output, code = runs.command('resume', second.name)
  t.equal(code, 0, output)
  local resumed = fits(second)[1]
  t.equal(resumed.batch, whole[3].batch)
  local differences, step = run_equality.compare(whole[3].folder, resumed.folder)
  t.equal(differences, {})
  t.equal(step, 12)

  local fixed = fits(runs.run(script, '-q', 'domains.seed=5'))
  t.equal(fixed[2].batch, fixed[4].batch)
end)

t.test('a text of many unknown words is told once, for all seeds, and where its perplexity is shown', function()
  local words = {}
  for i = 1, 900 do words[i] = i % 3 == 0 and ('rare%d '):format(i) or i * i % 7 % 2 == 0 and 'owl ' or 'cat ' end
  runs.write('rare.txt', table.concat(words))
  local script = SEEDS:format(runs.root):gsub('seeds.txt', 'rare.txt'):gsub('batch = 2', 'words = 7, batch = 2', 1)
  local ran = runs.run(script)
  t.equal(ran.code, 0, ran.output)
  t.equal(select(2, ran.output:gsub('perplexities of it are not comparable', '')), 1)
  local unknown = runs.json(fits(ran)[1].folder .. '/manifest.json').data[1].unknown_pct
  t.near(unknown.train, 100 / 3, 0.3)
  t.contains(runs.command('show', ran.name), 'unknown words 33.')
end)

t.test('the experiment on what is kept fills its matrix for every arm', function()
  local output = small('k1/continual', 'domains.batches=12', 'compare.seeds=[1]', 'model.branching=[3]',
    'compare.dense=dense_deep')
  for _, arm in ipairs { 'tree, all nodes', 'tree, path', 'dense_deep', 'dense_deep, EWC', 'dense_deep, replay' } do
    t.contains(output, arm .. ', seed 1: loss on each domain (columns) after training each domain (rows)')
  end
  t.contains(output, 'first domain, learnt again')
end)

t.test('the experiment on specialists leaves them out one by one', function()
  local output = small('k1/specialise', 'domains.batches=150', 'select.log_every=5', 'compare.seeds=[1]',
    'model.branching=[3]')
  t.contains(output, 'loss change when a specialist is left out')
  t.contains(output,
    "Found for share of a leaf's largest domain, against 'one domain under several labels' over 1 seed: no difference")
  t.contains(output, 'No claim that leaves specialise by domain')
end)

t.test('what would have no effect, or no meaning, is refused before the first training', function()
  local override = small_texts()
  for _, case in ipairs {
    { 'epoch_sweep', 'train.epoch=3', "unknown key 'train.epoch'; nearest: train.epochs" },
    { 'seq_len_ablation', 'domains.seq=9.5', "key 'domains.seq' must be an int" },
    { 'k1/optimizer_confound', 'optim.lr=5', 'optim.lr has no effect here; set sweep.lr' },
    { 'k1/continual', 'domains.phases=[2,1,3]', 'domains.phases begins with 1 to 3' },
    { 'k1/continual', 'domains.interleaved=true', 'trained one after the other' },
    { 'k1/continual', 'compare.dense=dense', "there is no model 'dense'; nearest: dense_4" },
    { 'k1/specialise', 'domains.batches=0', 'domains.batches is 0, expected at least 1' },
    { 'k1/specialise', 'domains.phases=[1,2]', 'domains.phases has no effect here' },
    { 'k1/blame_validity', 'probe.held_out=0', 'probe.held_out is 0, expected at least 1' },
    { 'k1/load_balance', ('domains.texts=[%s/small1.txt,%s/small1.txt]'):format(runs.root, runs.root),
      "domains.texts[1] and [2] are both called 'small1'" },
  } do
    local output, code = runs.command('experiments/' .. case[1] .. '.lua', '-q', override, case[2])
    t.equal(code, 3, case[1] .. ' ' .. case[2] .. ': ' .. output)
    t.contains(output, case[3])
  end
end)

t.test('a shape without the published one, and a tree of a single node, are compared all the same', function()
  t.contains(small('k1/tree_sweep', 'sweep.shapes=[[2]]', 'sweep.seeds=[1]', 'domains.batches=2', 'train.epochs=1'),
    "difference from '{2} level_mean'")
  t.contains(small('k1/load_balance', 'model.branching=[]', 'sweep.seeds=[1]', 'domains.batches=2'),
    'no difference can be claimed')
end)

t.test('masking is compared within each optimiser, never across', function()
  local one = ('domains.texts=[%s/small1.txt]'):format(runs.root)
  local output, code = runs.command('experiments/k1/optimizer_confound.lua', '-q', one,
    'domains.seq=16', 'domains.batches=2', 'domains.allow_leak=true', 'train.epochs=1', 'sweep.seeds=[1]',
    'model.d_model=16', 'model.ff=16', 'model.branching=[3]', 'eval.val_cap=2', 'guards.no_learning=off')
  t.equal(code, 0, output)
  t.contains(output, "difference from 'sgd delta global'")
  t.contains(output, "difference from 'adamw delta global'")
end)

-- Every experiment, one batch of everything. What they find means nothing then; that they end and say something does.
local function three_texts()
  local files = {}
  for i = 1, 3 do files[i] = ('{file=%s}'):format(runs.write(('words%d.txt'):format(i), texts.words(150000, i))) end
  return files
end
local TEXTS = three_texts()
local ON_THREE = { ['k1/specialise'] = true, ['k1/continual'] = true, ['k1/blame_demo'] = true,
  ['k1/published_41'] = true }

-- The override that gives an experiment texts of the test's own.
local function own_texts(name)
  if name == 'precision' then return 'data.file=' .. TEXTS[1]:match '=(.*)}' end
  return ('domains.texts=[%s]'):format(ON_THREE[name] and table.concat(TEXTS, ',') or TEXTS[1])
end

for _, name in ipairs { 'k1_tree', 'baseline', 'k1/vs_dense', 'k1/selection_sweep',
  'k1/optimizer_confound', 'k1/specialise', 'k1/continual', 'k1/blame_demo', 'k1/blame_validity', 'k1/load_balance',
  'k1/tree_sweep', 'k1/sync_bench', 'k1/published_41', 'precision' } do
  t.test(('experiments/%s.lua runs under --fast-dev-run and says what it found'):format(name), function()
    local words = { '--fast-dev-run', '-q' }
    if name ~= 'k1/sync_bench' then words[3] = own_texts(name) end -- that one has no text
    local output, code = runs.command('experiments/' .. name .. '.lua', unpack(words))
    t.equal(code, 0, output)
    t.contains(output, 'ound')
  end)
end

t.test('under the published rule, which masks gradients, the share that was touched is not claimed', function()
  local output, code = runs.command('experiments/k1/published_41.lua', '--fast-dev-run', '-q',
    'select.rule=published', 'domains.batch=4', own_texts 'k1/published_41')
  t.equal(code, 0, output)
  t.contains(output, 'touched NA, effective ')
end)
