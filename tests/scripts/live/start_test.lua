-- train.start: a training in parts is the training that train.fit makes, tries leave it as it was, and what people
-- change by hand is written down.
local equality = require 'runs.equality'
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'
local trainings = require 'testing.trainings'

local FILE = runs.write('text.txt', texts.words(3000))

-- A script that trains for 2 epochs; `body` gets the parts of the training as `parts`.
local function script(body, config)
  return trainings.characters(FILE, { data = 'split = 0.9, allow_leak = true', train = 'epochs = 2, device = "cpu"',
    more = config or 'tscore = { every = 1 }, guards = { no_learning = "off" }' })
    .. 'local parts = { model = net, data = text, optim = cfg.optim, tscore = cfg.tscore, options = cfg.train }\n'
    .. body
end

local function run(body, ...)
  local ran = runs.run(script(body), ...)
  t.equal(ran.code, 0, ran.output)
  return ran
end

-- The run of train.fit that the others are compared with.
local whole
local function plain()
  whole = whole or run 'train.fit(parts)'
  return whole
end

local function same_as_plain(ran)
  t.equal(equality.compare(plain().folder, ran.folder), {})
  t.equal(runs.read(plain().folder .. '/model.safetensors'), runs.read(ran.folder .. '/model.safetensors'))
  t.equal(#ran.lines.train, #plain().lines.train)
  t.fields(ran.exit, { state = 'FINISHED', code = 0 })
end

t.test('steps, an epoch and the rest are the training that train.fit makes, byte for byte', function()
  local ran = run [[
    local fit = train.start(parts)
    print('before', fit.step_count)
    fit:step(3)
    local record = fit:step()
    print('record', record.step, record.loss == record.loss, record)
    local epoch = fit:epoch()
    print('epoch', epoch.epoch, epoch.val_loss ~= nil)
    print('result', fit:run().state)
  ]]
  t.contains(ran.output, 'before\t0\n')
  t.matches(ran.output, 'record\t4\ttrue\tupdate 4/%d+  epoch 1  loss %d%.%d+  lr 0%.01  grad_norm')
  t.contains(ran.output, 'epoch\t1\ttrue\n')
  t.contains(ran.output, 'result\tFINISHED\n')
  same_as_plain(ran)
  t.equal(#ran.lines.intervention, 0)
end)

t.test('tries and looks leave a training as it was', function()
  local ran = run([[
    local fit = train.start(parts)
    fit:step(5)
    local one = fit:overfit(40)
    print('overfit', #one.loss, one.loss[40] < one.loss[1], one)
    local range = fit:lr_find { updates = 30, plot = false }
    print('range', #range.lr <= 30, range.lr[1], range)
    fit:eval()
    fit:sample('the', { length = 5 })
    print(select(2, pcall(fit.sample, fit, 'the', 5)))
    fit:plot()
    fit:save()
    fit:save(']] .. runs.root .. [[/weights.safetensors')
    fit:run()
  ]])
  t.matches(ran.output, 'overfit\t40\ttrue\tone batch: loss .* %(nothing was changed%)')
  t.matches(ran.output, 'range\ttrue\t1e%-06\t[^\n]*suggestion')
  t.contains(ran.output, 'a hint, not a measurement')
  t.contains(ran.output, 'fit:sample: after the prompt comes a table of options, such as { length = 200 }; got 5')
  t.contains(ran.output, 'update')
  same_as_plain(ran)
  t.equal(#ran.lines.intervention, 0)
end)

t.test('what is changed by hand is in the journal, is shown, and keeps the run out of comparisons', function()
  local ran = run [[
    local fit = train.start(parts)
    fit:step(2)
    fit.lr = 5e-3
    fit.lr = 5e-3 -- nothing new
    fit.options.optim.clip_norm = 1
    fit.options.train.epochs = 1
    print('rate', fit.lr, fit.options.optim.lr, fit.options.train.epochs)
    fit:run()
  ]]
  t.contains(ran.output, 'rate\t0.005\t0.005\t1\n')
  local changes = {}
  for i, line in ipairs(ran.lines.intervention) do changes[i] = line.change end
  t.equal(changes, { 'optim.lr 0.01 -> 0.005', 'optim.clip_norm 0 -> 1', 'train.epochs 2 -> 1' })
  t.fields(ran.lines.intervention[1], { step = 2, by = 'script' })
  t.matches(ran.lines.intervention[1].text, '%.lua:%d+$')
  t.near(ran.lines.train[3].lr, 0.005, 1e-12)
  t.equal(#ran.lines.train, math.ceil(#plain().lines.train / 2))
  local shown = runs.command('show', ran.folder)
  t.matches(shown, 'by hand%s+update 2  [%w_-]+: [^\n]*%.lua:%d+  %(optim%.lr 0%.01 %-> 0%.005%)')
  t.contains(runs.command('ls'), 'by hand')
  local output, code = runs.command('compare', ran.folder, plain().folder, '--allow-mixed')
  t.equal(code, 0, output)
  t.contains(output, 'changed by hand 3 times while it trained; --intervened takes it')
  output, code = runs.command('compare', ran.folder, plain().folder, '--allow-mixed', '--intervened')
  t.equal(code, 0, output)
  t.is_false(output:find('changed by hand', 1, true))
end)

t.test('a training goes back to a checkpoint, with its options', function()
  local ran = run [[
    local fit = train.start(parts)
    fit:step(4)
    print(pcall(fit.restore, fit))
    fit:save()
    local loss = fit:step().loss
    fit.options.optim.clip_norm = 1e-3
    fit.lr = 1
    fit:step(3)
    local back = fit:restore()
    print('back', back.step, fit.lr, fit.options.optim.clip_norm, fit.step_count)
    print('again', fit:step().loss == loss)
    fit:run()
  ]]
  t.contains(ran.output, 'false')
  t.contains(ran.output, 'back\t4\t0.01\t0\t4\n')
  t.contains(ran.output, 'again\ttrue\n')
  t.equal(runs.read(plain().folder .. '/model.safetensors'), runs.read(ran.folder .. '/model.safetensors'))
  t.fields(ran.lines.rollback[1], { step = 4, from_step = 8 })
end)

t.test('a training that is left is saved and closed as it is; a further one closes the one before', function()
  local ran = run [[
    local first = train.start(parts)
    first:step(2)
    local second = train.start(parts)
    print('first', tostring(first):match 'over %(%a+%)', first.path ~= second.path)
    second:step(3)
  ]]
  t.contains(ran.output, 'first\tover (STOPPED)\ttrue\n')
  t.fields(ran.exit, { state = 'INTERRUPTED', step = 3 })
  t.matches(ran.exit.reason, '^left after 3 of %d+ updates$')
  t.is_true(require('host').stat(ran.folder .. '/checkpoints/step-00000003') ~= nil)
  local one = run 'local fit = train.start(parts)  fit:step()  print(fit:close().steps)'
  t.contains(one.output, '\n1\n')
  t.matches(one.exit.reason, '^closed by hand after 1 of')
end)

t.test('mistakes are told', function()
  local ran = run [[
    print('told', pcall(train.start, { model = net }))
    local fit = train.start(parts)
    local function try(f, ...)
      local ok, problem = pcall(f, ...)
      print('told', ok, (tostring(problem):gsub('^[^ ]+:%d+: ', '')))
    end
    try(function() fit.lr = 'fast' end)
    try(function() fit.lr = -1 end)
    try(function() fit.options.optim.lrate = 1 end)
    try(function() fit.options.train.seed = 3 end)
    try(function() fit.options.train.epochs = 1.5 end)
    try(function() fit.options.optim.schedule = 'cubic' end)
    try(function() fit.options.nonsense.x = 1 end)
    try(function() fit.rate = 1 end)
    try(function() return fit.stepp end)
    try(function() return fit.step(2) end)
    try(function() return fit:step(0) end)
    try(function() return fit:lr_find { to = 1e-9 } end)
    try(function() return fit:overfit(-1) end)
    fit:step()
    try(function() return fit:plot 'losss' end)
    try(function() return fit:restore 'step-99' end)
    fit:close()
    try(function() return fit:step() end)
    parts.eval = { off = true }
    local blind = train.start(parts)
    try(function() return blind:eval() end)
    try(function() fit.lr = 1 end)
  ]]
  for _, part in ipairs { "train.start: option 'data' (table) is required",
    'optim.lr must be a number from 0, got "fast"', 'optim.lr must be a number from 0, got -1',
    "fit.options.optim: there is no 'lrate'; nearest: lr", 'train.seed cannot be changed while the model trains',
    'train.epochs must be a whole number, got 1.5', 'optim.schedule must be one of constant, step, cosine, linear',
    "fit.options has no section 'nonsense'", "fit has no 'rate' to set; fit.lr and fit.options can be changed",
    "fit has no 'stepp'; nearest: step", 'call it with a colon: fit:step()',
    'fit:step: expected a whole number from 1, got 0', 'needs 0 < from < to', 'fit:overfit: expected a number',
    "no line has a number 'losss'; nearest: loss",
    'fit:eval: there is nothing to evaluate', "step-99", 'fit:step: the training is over (STOPPED, 1 update)' } do
    t.contains(ran.output, part)
  end
  t.is_false(ran.output:find('told\ttrue', 1, true), ran.output)
end)

t.test('a training cannot be ended or moved from inside of itself', function()
  local ran = run [[
    local fit
    local function inside(ctx, record)
      if record.step ~= 3 then return end
      for _, name in ipairs { 'close', 'step', 'epoch', 'run', 'restore' } do
        print('told', pcall(function() return fit[name](fit) end))
      end
      print('told', pcall(train.start, parts))
    end
    local own = {}
    for key, value in pairs(parts) do own[key] = value end
    own.callbacks = { { every = 1, on_step = inside, over_budget = 'off' } }
    fit = train.start(own)
    fit:run()
  ]]
  for _, name in ipairs { 'close', 'step', 'epoch', 'run', 'restore' } do
    t.matches(ran.output, ('told\tfalse\t[^\n]*fit:%s: the training is in the middle of an update'):format(name))
  end
  t.contains(ran.output, 'a training cannot begin in the middle of an update of ')
  t.equal(runs.read(plain().folder .. '/model.safetensors'), runs.read(ran.folder .. '/model.safetensors'))
  t.fields(ran.exit, { state = 'FINISHED', code = 0 })
end)

t.test('a training that begins behind an interrupted one is not interrupted', function()
  local ran = run [[
    local own = { callbacks = { { every = 1, on_step = function(_, record)
      if record.step == 2 then require('host').kill(require('host').pid(), 'INT') end
    end } } }
    for key, value in pairs(parts) do own[key] = own[key] or value end
    print('fit', pcall(train.fit, own))
    parts.guards = { init_loss = 'off', no_learning = 'off' } -- it has learnt something
    local fit = train.start(parts)
    print('steps', fit:step(3).step)
  ]]
  t.matches(ran.output, 'fit\tfalse\t[^\n]*interrupted by signal 2')
  t.contains(ran.output, 'steps\t3\n')
end)

t.test('a training whose update failed is over', function()
  local ran = run [[
    local torch, count = require 'torch', 0
    parts.loss = function(m, x, y)
      count = count + 1
      if count > 12 then error('no loss', 0) end
      return torch.cross_entropy_loss(m(x):view { -1, text.vocab_size }, y:view { -1 })
    end
    parts.tscore = nil
    local fit = train.start(parts)
    print('failed', pcall(function() return fit:run() end))
    print(fit)
    print('told', pcall(function() fit.lr = 1 end))
    print('told', pcall(function() fit.options.optim.clip_norm = 1 end))
    print('told', pcall(function() return fit:save() end))
    print('told', pcall(function() return fit:run() end))
  ]]
  t.matches(ran.output, 'failed\tfalse\t[^\n]*no loss')
  t.contains(ran.output, 'training, over (FAILED)')
  t.is_false(ran.output:find('told\ttrue', 1, true), ran.output)
  t.fields(ran.exit, { state = 'FAILED' })
  t.equal(#ran.lines.intervention, 0)
end)

t.test('a try whose data fail leaves the training as it was', function()
  local ran = runs.run [[
    local data, nn, torch, train = require 'data', require 'nn', require 'torch', require 'train'
    torch.manual_seed(1)
    local x, fails = torch.randn { 8, 3 }, false
    local calls = 0
    local set = data.custom { count = 6, rows = 8, get = function()
      calls = calls + 1
      if fails and calls > 5 then error('no batch', 0) end
      return x, x:sum { dim = 1, keepdim = true }
    end }
    local net = nn.Linear { 3, 1 }
    local fit = train.start { model = net, data = set, loss = 'mse', optim = { lr = 0.1 },
      options = { epochs = 5, device = 'cpu' } }
    fit:step(3)
    local before, rate = net.weight:clone(), torch.rand { 1 }
    fails, calls = true, 0
    print('try', pcall(function() return fit:overfit(50) end))
    fails = false
    print('same', torch.equal(before, net.weight), fit.step_count)
    print('goes on', fit:step(2).step)
  ]]
  t.equal(ran.code, 0, ran.output)
  t.matches(ran.output, 'try\tfalse\t[^\n]*no batch')
  t.contains(ran.output, 'same\ttrue\t3\n')
  t.contains(ran.output, 'goes on\t5\n')
end)

t.test('a rollback keeps what was changed by hand since the checkpoint', function()
  local ran = run [[
    local torch, bad = require 'torch', false
    parts.loss = function(m, x, y)
      local loss = torch.cross_entropy_loss(m(x):view { -1, text.vocab_size }, y:view { -1 })
      if bad then
        bad = false
        return loss * (0 / 0)
      end
      return loss
    end
    parts.tscore, cfg.train.on_divergence = nil, 'rollback'
    local fit = train.start(parts)
    fit:step(4)
    fit:save()
    fit.lr = 0.02
    fit.options.optim.clip_norm = 3
    fit:step()
    bad = true
    fit:step(2)
    print('after', fit.lr, fit.options.optim.clip_norm)
  ]]
  t.contains(ran.output, 'after\t0.01\t3\n')
  t.equal(#ran.lines.rollback, 1)
end)

t.test('a signal for the process ends a prompt that trains, with its code', function()
  local session = runs.write('session.txt', ([[
text = data.text { file = %q, batch = 4, seq = 8, stride = 8, allow_leak = true }
net = models.char_rnn { vocab = text.vocab_size, embed = 8, hidden = 16, layers = 1 }
fit = train.start { model = net, data = text, options = { epochs = 1000000, device = 'cpu' } }
fit:run()
print 'still here'
]]):format(FILE))
  local process = runs.start { 'repl', environment = ('sh -c \'exec env "$@" <%s\' sh'):format(session) }
  process:wait_for_text(runs.root .. '/results/prompt/latest/metrics.jsonl', '"step":3,')
  process:signal 'TERM'
  local output, code = process:wait()
  t.equal(code, 143, output)
  t.is_false(output:find('still here', 1, true))
  t.fields(runs.latest('prompt').exit, { state = 'INTERRUPTED', signal = 15 })
end)

t.test('a training in parts cannot be resumed', function()
  local ran = run 'local fit = train.start(parts)  fit:step(2)'
  local output, code = runs.command('resume', ran.folder)
  t.equal(code, 5, output)
  t.contains(output, 'a training of train.start cannot be resumed')
end)
