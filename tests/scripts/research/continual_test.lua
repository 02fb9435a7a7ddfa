-- Trainings of several tasks one after the other: replay, consolidation, sleep, and what is told of them.
local continual = require 'research.continual'
local data = require 'data'
local host = require 'host'
local plasticity = require 'research.plasticity'
local run_equality = require 'runs.equality'
local runs = require 'testing.runs'
local t = require 'testing'
local torch = require 'torch'

runs.write('ab.txt', ('abba '):rep(200))
runs.write('xy.txt', ('xyxxyy '):rep(200))

local function open()
  return data.domains {
    texts = { runs.root .. '/ab.txt', runs.root .. '/xy.txt' }, batch = 4, seq = 6, batches = 10, seed = 1 }
end

t.test('replay adds rows of earlier phases, or puts them in place of half of a batch', function()
  local text = open()
  local beside = continual.replay(text, { memory = 12, seed = 3 })
  local within = continual.replay(text, { memory = 12, seed = 3, in_place = true })
  t.equal(beside.train:count(), 20)
  t.equal(beside.vocab_size, text.vocab_size)
  for b = 0, 19 do
    local x = beside.train:get(b)
    local plain = text.train:get(b)
    t.equal(x:size(0), b < 10 and 4 or 8, b)
    t.is_true(torch.equal(x:narrow(0, 0, 4), plain), b)
    x = within.train:get(b)
    t.equal(x:size(0), 4, b)
    t.equal(torch.equal(x, plain), b < 10, b)
    local old = text:decode(x[3]):find '[ab]' ~= nil
    t.equal(old, true, b) -- of a later batch the last rows are of the first text
  end
end)

t.test('replay and consolidation need phases that follow one another', function()
  local mixed = open():with { interleaved = true }
  t.error_matches(function() continual.replay(mixed, { memory = 3 }) end, 'at least two phases')
  t.error_matches(function() continual.replay(data.tensors { x = torch.zeros { 2, 2 }, y = torch.zeros { 2 } }, {}) end,
    'needs data with phases')
  t.error_matches(function() continual.replay(open(), { memories = 3 }) end, 'memory')
end)

t.test('a phase ends in the update that its last batch is in, and so does a pass', function()
  local phases = { { end_batch = 10, passes = { 5, 10 } }, { end_batch = 20, passes = { 15, 20 } } }
  t.equal(continual.ended(phases, { batch = 9, micro_batches = 1 }), nil)
  t.equal(continual.ended(phases, { batch = 10, micro_batches = 1 }), 1)
  t.equal(continual.ended(phases, { batch = 11, micro_batches = 1 }), nil)
  t.equal(continual.ended(phases, { batch = 12, micro_batches = 4 }), 1)
  t.equal(continual.ended(phases, { batch = 20, micro_batches = 4 }), 2)
  t.equal({ continual.pass_ended(phases, { batch = 15, micro_batches = 1 }) }, { 2, 1 })
  t.equal({ continual.pass_ended(phases, { batch = 16, micro_batches = 1 }) }, {})
end)

t.test('accuracies are forgotten from their best, and never less than nothing', function()
  local m = plasticity.measures({ { 0.9, 0.1 }, { 0.6, 0.8 } }, { 'a', 'b' }, 'higher')
  t.near(m.forgetting, 0.3, 1e-12)
  t.near(m.backward_transfer, -0.3, 1e-12)
  t.near(m.final_mean, 0.7, 1e-12)
  t.equal(plasticity.measures({ { 0.5, 0.1 }, { 0.6, 0.8 } }, { 'a', 'b' }, 'higher').forgetting, 0)
end)

t.test('a part of a text has its own shares, and streams have the batches that they should', function()
  local path = runs.root .. '/ab.txt' -- 1000 characters
  local parts = data.domains { texts = { { file = path, from = 0, to = 0.5 }, { file = path, from = 500, to = 1000 } },
    batch = 4, seq = 6, order = 'streams', train = 0.9, val = 0.1, passes = 2 }
  t.equal(parts.names, { 'ab_1', 'ab_2' })
  t.equal({ parts.info[1].train_tokens, parts.info[1].val_tokens, parts.info[2].train_tokens }, { 450, 50, 450 })
  t.equal({ parts.info[2].from, parts.info[2].to }, { 500, 1000 })
  -- floor(450 / 24) - 1 = 17, twice each.
  t.equal({ parts.phases[1].end_batch, parts.phases[2].end_batch }, { 34, 68 })
  t.equal(parts.phases[2].passes, { 51, 68 })
  local x, y = parts.train:get(0)
  t.is_true(torch.equal((parts.train:get(1)):select(1, 0), y:select(1, 5)))
  t.is_true(torch.equal(x, (parts.train:get(17)))) -- the second pass
  t.is_true(torch.equal(x, (parts:train_of(1):get(0))))
  t.equal(parts:val_of(1):count(), 1)
  t.error_matches(function()
    data.domains { texts = { { file = path, from = 0.5, to = 0.2 } }, batch = 4, seq = 6 }
  end, 'from=0.5, to=0.2')
  t.error_matches(function()
    data.domains { texts = { { file = path, from = 0, to = 5000 } }, batch = 4, seq = 6 }
  end, "up to 5000 was asked for, but .* has 1000 characters")
  t.error_matches(function()
    data.domains { texts = { { file = path, from = 0, to = 0.5, bytes = 9 } }, batch = 4, seq = 6 }
  end, 'bytes and a part')
  t.error_matches(function()
    data.domains { texts = { path }, batch = 64, seq = 100, order = 'streams' }
  end, 'too few for 64 streams of two windows of 100')
end)

t.test('tasks of pictures are made here, the same from the same seed, and can be learnt', function()
  local tasks = data.image_tasks { tasks = 3, train = 200, test = 50, batch = 20, seed = 5 }
  t.equal(tasks.names, { 'permuted_1', 'permuted_2', 'permuted_3' })
  t.equal({ tasks.vocab_size, tasks.inputs, tasks.train:count() }, { 10, 784, 30 })
  local x, y, domain = tasks.train:get(10)
  t.equal({ x.shape, y.shape, domain }, { { 20, 784 }, { 20 }, 2 })
  local again = data.image_tasks { tasks = 3, train = 200, test = 50, batch = 20, seed = 5 }
  t.is_true(torch.equal((again.train:get(10)), x))
  -- A task has the pixels of the first in another order.
  local first, second = tasks:val_of(1):get(0), tasks:val_of(2):get(0)
  t.equal(torch.equal(first, second), false)
  t.is_true(torch.equal((first:sort { dim = 1 }), (second:sort { dim = 1 })))
  local split = data.image_tasks { kind = 'split', tasks = 5, train = 200, test = 50, batch = 20, seed = 5 }
  t.equal(split.names[2], 'classes_2_3')
  local _, labels = split:val_of(2):get(0)
  t.equal({ labels:min():item(), labels:max():item() }, { 2, 3 })
  t.error_matches(function() data.image_tasks { kind = 'split', tasks = 6, train = 100, test = 20 } end,
    '6 tasks of two classes need 12 classes')
  t.error_matches(function() data.image_tasks { images = 'a.gz' } end, "'labels' is missing")
end)

-- Two texts of 30 updates each, under a guard-free config so small that nothing is learnt.
local HEAD = ([[
local experiment, data, models, train = require 'experiment', require 'data', require 'models', require 'train'
local cfg = experiment.config { train = { epochs = 1, seed = 3 }, optim = { lr = 0.01 },
  domains = { texts = { '%s/ab.txt', '%s/xy.txt' }, batch = 4, seq = 6, batches = 15, passes = 2, allow_leak = true },
  guards = { no_learning = 'off' }, tscore = { every = 1 } }
local text = data.domains(cfg.domains)
local net = models.char_rnn { vocab = text.vocab_size, embed = 6, hidden = 8, layers = 1 }
local fit = { model = net, data = text, optim = cfg.optim, options = cfg.train, tscore = cfg.tscore }
]]):format(runs.root, runs.root)

local EWC = HEAD .. [[
fit.callbacks = { 'domain_matrix', { 'ewc', form = 'scaled', strength = 5, batches = 4, fisher = 'sample' } }
local f = train.fit(fit)
print('rows', #f.domains, 'passes', #f.passes[1], f.ewc.updates, f.ewc.with_gradient_pct) ]]

t.test('consolidation is a term of its own, and a run that was stopped goes on with its anchors', function()
  local whole = runs.run(EWC)
  t.equal(whole.code, 0, whole.output)
  t.contains(whole.output, 'rows\t3\tpasses\t2\t30\t')
  t.contains(whole.output, 'ewc: anchor after phase 1')
  local anchor = whole.lines.ewc_anchor[1]
  t.fields(anchor, { step = 30, phase_n = 1, form = 'scaled', fisher = 'sample' })
  local train = whole.lines.train
  t.equal(train[30].term, nil)
  t.is_true(train[40].term.ewc > 0)
  t.equal(#whole.lines.domain_pass, 4)
  local ran = runs.run(EWC, '--stop-after', '42')
  t.equal(ran.code, 75, ran.output)
  t.is_true(host.stat(ran.folder .. '/checkpoints/latest/penalty.safetensors') ~= nil)
  local output, code = runs.command('resume', ran.name)
  t.equal(code, 0, output)
  t.contains(output, 'rows\t3\tpasses\t2\t30\t')
  t.equal((run_equality.compare(whole.folder, ran.folder)), {})
end)

t.test('a checkpoint with anchors is refused by a training that has none', function()
  local ran = runs.run(EWC, '--stop-after', '42')
  runs.write(ran.name .. '.lua', HEAD .. "fit.callbacks = { 'domain_matrix' } train.fit(fit)")
  local output, code = runs.command('resume', ran.name, '--allow-source-change')
  t.is_true(code ~= 0, output)
end)

local SLEEP = HEAD .. [[
fit.callbacks = { { 'sleep', below = %s, %s } }
local f = train.fit(fit)
print('slept', f.sleep.sleeps, f.sleep.capped) ]]

t.test('sleep is counted, limited and told with the loss before and after it', function()
  local ran = runs.run(SLEEP:format('0.99', 'start_after = 0.5, cooldown = 10'))
  t.equal(ran.code, 0, ran.output)
  local slept = ran.lines.sleep
  t.is_true(#slept >= 4 and #slept <= 5, #slept) -- 52 updates from the eighth on, eleven apart
  t.contains(ran.output, ('slept\t%d\t'):format(#slept))
  t.is_true(slept[1].step >= 8)
  for i = 2, #slept do t.is_true(slept[i].step - slept[i - 1].step > 10) end
  t.is_true(slept[1].pruned_pct > 0 and slept[1].loss_before ~= slept[1].loss_after)
  t.equal(ran.lines.train[#ran.lines.train].updates_skipped, 0)
  t.equal(ran.lines.propagation[1].has_gradient, false)
  local resumed = runs.run(SLEEP:format('0.99', 'start_after = 0.5, cooldown = 10'), '--stop-after', '25')
  local output, code = runs.command('resume', resumed.name, '-q')
  t.equal(code, 0, output)
  t.equal((run_equality.compare(ran.folder, resumed.folder)), {})
end)

t.test('a threshold that never fires leaves the training as it is, and says so', function()
  local plain = runs.run(HEAD .. 'train.fit(fit)')
  local ran = runs.run(SLEEP:format('0.0001', ''))
  t.contains(ran.output, '0 sleeps in 60 updates: this arm is the same as one without it')
  t.equal(runs.read(plain.folder .. '/model.safetensors') == runs.read(ran.folder .. '/model.safetensors'), true)
end)

t.test('sleeping in place of learning is a deadlock that is named', function()
  local script = SLEEP:format('0.999', "compat = 'v1.1'")
  local ran = runs.run(script, 'domains.batches=40')
  t.equal(ran.code, 6, ran.output)
  t.contains(ran.output, 'G36 skipped_updates: sleep_deadlock: 100 of the last 100 updates were sleeps')
  ran = runs.run(script, 'domains.batches=40', 'guards.skipped_updates=off')
  t.equal(ran.code, 0, ran.output)
  t.contains(ran.output, 'slept\t160\t0')
  t.equal(ran.lines.train[#ran.lines.train].updates_skipped, 160)
end)

t.test('a sleep without T-Score, and a threshold out of reach, are refused', function()
  local ran = runs.run(SLEEP:format('0.3', ''), 'tscore.every=0')
  t.equal(ran.code, 3, ran.output)
  t.contains(ran.output, "callback 'sleep' acts on T-Score, which is off")
  ran = runs.run(SLEEP:format('1.5', ''))
  t.equal(ran.code, 3, ran.output)
  t.contains(ran.output, 'G34')
end)

t.test('window statistics of T follow the epochs', function()
  local ran = runs.run(HEAD .. "fit.callbacks = { { 'tscore_window', window = 8 } } train.fit(fit)")
  t.equal(ran.code, 0, ran.output)
  local line, last = ran.lines.tscore_window[1], {}
  for i = 53, 60 do last[#last + 1] = ran.lines.train[i].tscore end
  local sum = 0
  for _, value in ipairs(last) do sum = sum + value end
  t.near(line.tscore_mean, sum / 8, 1e-9)
  t.equal(line.updates_n, 8)
  t.contains(ran.output, 'T of the last 8 updates')
end)

-- Two arms of two seeds each, in one script.
local ARMS = ([[
local data, experiment, forgetting = require 'data', require 'experiment', require 'research.forgetting'
local models = require 'models'
local cfg = experiment.config { train = { epochs = 1, seed = 3 }, optim = { lr = 0.01 },
  domains = { texts = { '%s/ab.txt', '%s/xy.txt' }, batch = 4, seq = 6, batches = 15, allow_leak = true },
  guards = { no_learning = 'off' }, eval = { off = true }, wait = '' }
local text = data.domains(cfg.domains)
forgetting.print(forgetting.run { data = text, seeds = { 1, 2 }, modes = { 'naive', 'joint', 'frozen', 'ewc', 'ewc_dr',
    'replay', 'reservoir', 'slow' }, optim = cfg.optim, options = { memory = 8 }, train = cfg.train, eval = cfg.eval,
  callbacks = { { every = 1, over_budget = 'off', on_step = function(_, record)
    local host = require 'host'
    local fourth = #(host.listdir(host.getenv 'RUNNER_RESULTS_DIR' .. '/arms_killed') or {}) >= 5
    while cfg.wait ~= '' and host.stat(cfg.wait) and fourth and record.step == 9 do host.sleep(0.05) end
  end } },
  build = function() return models.char_rnn { vocab = text.vocab_size, embed = 6, hidden = 8, layers = 1 } end })
]]):format(runs.root, runs.root)

-- What a table says but for the seconds.
local function told(output)
  local text = output:match 'naive, seed 2:.*'
  return text and text:gsub('[%d.]+ %+%- [%d.]+ %(%d%)\n', '\n'):gsub('  %S+ %+%- %S+ %(2%)%s*\n', '\n')
end

t.test('a script of many arms that was killed in the middle ends with the same table', function()
  local whole = runs.run(ARMS, '-q')
  t.equal(whole.code, 0, whole.output)
  t.contains(told(whole.output), 'forgetting')
  local script = runs.write('arms_killed.lua', ARMS)
  local folder = runs.root .. '/results/arms_killed'
  local wait = t.write_file ''
  local process = runs.start { script, '-q', 'wait=' .. wait, 'checkpoint.every.steps=7' }
  t.wait_until('the fourth training has a checkpoint', function() -- it waits behind that
    local saved = 0
    for _, name in ipairs(host.listdir(folder) or {}) do
      local metrics = folder .. '/' .. name .. '/metrics.jsonl'
      local there = name ~= 'latest' and host.stat(metrics)
      saved = saved + (there and runs.read(metrics):find '"event":"checkpoint"' and 1 or 0)
    end
    return saved >= 4
  end, 120)
  process:signal 'KILL'
  process:wait()
  os.remove(wait)
  t.equal(host.stat(folder .. '/latest/exit.json'), nil)
  local output, code = runs.command('resume', 'arms_killed', '-q')
  t.equal(code, 0, output)
  t.equal(told(output), told(whole.output))
end)

t.test('what a later arm cannot take is refused before the first training', function()
  local forgetting = require 'research.forgetting'
  local function with(modes, given)
    return function()
      forgetting.run { data = open(), seeds = { 1 }, modes = modes, optim = {}, options = given or {},
        build = function() error 'a training began' end }
    end
  end
  t.error_matches(with({ 'naive', 'ewc' }, { ewc = -1 }), "option 'ewc' must be at least 0, got %-1")
  t.error_matches(with({ 'naive', 'ewc' }, { fisher = 'batches' }), "option 'fisher' is 'batches'; nearest: batch")
  t.error_matches(with { 'naive', { 'strong', 'ewc', lambda = 3 } }, "strong: unknown option 'lambda'")
  t.error_matches(with { 'naive', { 'short', 'replay', cost = 0 } }, "cost of an update of 'replay' must be .* above 0")
  t.error_matches(with { 'naive', 'ewcc' }, "no mode 'ewcc'; nearest: ewc")
  t.error_matches(with { 'naive' }, 'a training began')
end)

t.test('the penalty of the first agent has the gradient of its formula', function()
  torch.manual_seed(4)
  local nn = require 'nn'
  local net = nn.Sequential { nn.Linear { 3, 5 }, nn.Tanh(), nn.Linear { 5, 4 } }:to 'float64'
  local x, y = torch.randn({ 6, 3 }, { dtype = 'float64' }), torch.randint(4, { 6 })
  local function loss_of(model) return torch.cross_entropy_loss(model(x), y) end
  local function gradients()
    net:zero_grad()
    loss_of(net):backward()
    local parts = {}
    for i, parameter in ipairs(net:parameters()) do parts[i] = parameter.grad:clone():flatten() end
    return torch.cat(parts)
  end
  local function theta()
    local parts = {}
    for i, parameter in ipairs(net:parameters()) do parts[i] = parameter:detach():clone():flatten() end
    return torch.cat(parts)
  end
  local function value()
    local rho = gradients():norm():item() / (theta():std():item() + 1e-6)
    return 10 * (1 - 1 / (1 + rho)) ^ 2
  end
  local callback = require 'callbacks.csp' {}
  local ctx = { model = net, data = { train = { get = function() return x, y end } },
    loss = function(model) return loss_of(model) end }
  local plain, before = gradients(), theta()
  torch.scope(function() callback.before_update(ctx, { batch = 1, micro_batches = 1 }) end)
  local parts = {}
  for i, parameter in ipairs(net:parameters()) do parts[i] = parameter.grad:clone():flatten() end
  local added = torch.cat(parts) - plain
  t.is_true(torch.equal(theta(), before)) -- the weights are as they were
  local direction = torch.randn_like(before)
  local function shifted(by)
    local from = 0
    torch.no_grad(function()
      for _, parameter in ipairs(net:parameters()) do
        local n = parameter:numel()
        parameter:copy_((before + direction * by):narrow(0, from, n):reshape(parameter.shape))
        from = from + n
      end
    end)
    return value()
  end
  local slope = (shifted(1e-5) - shifted(-1e-5)) / 2e-5
  t.near((added * direction):sum():item() / slope, 1, 2e-3)
end)

t.test('the penalty of the first agent is logged with how often it had a gradient, and is resumed', function()
  local script = HEAD .. "fit.callbacks = { { 'csp', weight = 1 } } local f = train.fit(fit) print('csp', f.csp.t)"
  local whole = runs.run(script)
  t.equal(whole.code, 0, whole.output)
  t.matches(whole.output, 'csp: a penalty with a gradient in %d+ of 60 updates')
  t.is_true(whole.lines.csp[1].csp_loss > 0)
  local ran = runs.run(script, '--stop-after', '31')
  local output, code = runs.command('resume', ran.name, '-q')
  t.equal(code, 0, output)
  t.equal((run_equality.compare(whole.folder, ran.folder)), {})
end)

local function refused(script, words, ...)
  local ran = runs.run(script, ...)
  t.is_true(ran.code == 3 or ran.code == 4, ran.output)
  t.contains(ran.output, words)
end

t.test('what cannot be is refused before it trains, in words', function()
  local two = "fit.callbacks = { %s } train.fit(fit)"
  refused(HEAD .. two:format "{ 'ewc' }, { 'ewc', form = 'l2' }", "callback 'ewc' is given twice")
  refused(HEAD .. two:format "{ 'ewc', cap = 0.5 }", "cap is an option of form='dr', this is form='raw'")
  refused(HEAD .. two:format "{ 'ewc' }, 'csp'", "leave out 'ewc'")
  refused(HEAD .. two:format "'csp'", 'leave out optim.clip_norm', 'optim.clip_norm=1')
  refused(HEAD .. two:format "{ 'ewc' }", 'needs train.epochs=1, got 2', 'train.epochs=2')
  refused(HEAD .. two:format "'domain_matrix'", 'needs train.epochs=1, got 2', 'train.epochs=2')
  refused(HEAD .. two:format "{ 'sleep', steps = { 3, 0.5 } }", 'steps[2] is 0.5')
  refused(HEAD .. 'train.fit(fit)', 'G22 empty: domains.val=0 leaves nothing to evaluate', 'domains.val=0')
  refused(HEAD .. 'train.fit(fit)', "stride=3 has no meaning with order='streams'", 'domains.order=streams',
    'domains.stride=3')
  local replay = "fit.data = require('research.continual').replay(text, { memory = 4 }) train.fit(fit)"
  refused(HEAD .. replay, 'continual.replay needs train.epochs=1', 'train.epochs=2')
  refused(ARMS, 'phases 1 to 2', 'domains.phases=[2,1]')
  refused(ARMS, 'an experiment on forgetting needs train.epochs=1', 'train.epochs=2')
end)

t.test('parts that overlap are told where val of one is train of another', function()
  local function parts(a, b)
    local path = runs.root .. '/ab.txt'
    return data.domains { texts = { { file = path, from = 0, to = a }, { file = path, from = b, to = 1 } }, batch = 2,
      seq = 4, val = 0.1 }
  end
  t.error_matches(function() parts(0.5, 0.4) end, 'G24 validation: domain')
  t.equal(#parts(0.5, 0.5).names, 2)
  t.error_matches(function()
    data.domains { texts = { { file = runs.root .. '/ab.txt', from = 1, to = 1000 } }, batch = 2, seq = 4 }
  end, 'numbers up to 1 are shares')
end)

t.test('tasks that do not fit together are told', function()
  local function task(rows, width, name)
    return { name = name, x = torch.zeros { rows, width }, y = torch.zeros({ rows }, { dtype = 'int64' }),
      val_x = torch.zeros { 2, width }, val_y = torch.zeros({ 2 }, { dtype = 'int64' }) }
  end
  local short = task(4, 3)
  short.y = short.y:narrow(0, 0, 3)
  t.error_matches(function() data.tasks { tasks = { short } } end, 'x is %(4, 3%) and y is %(3%)')
  t.error_matches(function() data.tasks { tasks = { task(4, 3), task(4, 5) } } end, 'one model takes rows of one shape')
  t.error_matches(function() data.tasks { tasks = { task(4, 3, 'a'), task(4, 3, 'a') } } end, "both called 'a'")
  t.error_matches(function() data.tasks { tasks = { task(4, 3) }, phases = { 2 } } end, 'phases names task 2')
  t.error_matches(function() data.image_tasks { labels = 'x' } end, "'images' is missing")
end)

t.test('sleeps keep their distance however long it is, and wait for a pass of updates', function()
  local ran = runs.run(SLEEP:format('0.99', 'start_after = 0, cooldown = 250, max_share = 1'), 'domains.batches=300',
    'domains.passes=1')
  t.equal(ran.code, 0, ran.output)
  local slept = ran.lines.sleep
  t.is_true(#slept >= 2, #slept)
  for i = 2, #slept do t.is_true(slept[i].step - slept[i - 1].step > 250) end
  ran = runs.run(SLEEP:format('0.99', 'start_after = 1, cooldown = 0, max_share = 1'), 'train.accumulate=5')
  t.equal(ran.lines.sleep[1].step, 4) -- 15 batches are three updates
end)

t.test('arms without a result in common are not called identical', function()
  local arms = require 'arms'
  local function result(cells)
    return { seeds = { 1 }, unit = 'seed', baseline = 'a', arms = { { name = 'a', cells = { cells[1] } },
      { name = 'b', cells = { cells[2] } } } }
  end
  t.equal(arms.identical(result { { updates = 5, wall_s = 1 }, { updates = 5, wall_s = 2 } }), {})
  t.equal(arms.identical(result { { updates = 5, loss = 1, wall_s = 1 }, { updates = 5, loss = 1, wall_s = 2 } }),
    { 'b' })
  t.equal(arms.identical(result { { loss = 1 }, { loss = 1 + 1e-9 } }), {})
end)
