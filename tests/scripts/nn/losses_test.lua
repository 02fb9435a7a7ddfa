-- train.fit with losses and metrics by name: their values, T-Score under each of them, and a small convolutional net
-- on generated images.
local nn = require 'nn'
local native = require 'lanthorn'
local runs = require 'testing.runs'
local t = require 'testing'
local torch = require 'torch'
local tscore = require 'tscore'

local function ids(values) return torch.tensor(values, { dtype = 'int64' }) end
local function loss_of(name, output, y) return (native.train.loss_of(name, output, y)) end

t.test('a loss by name is the mean over all targets', function()
  torch.manual_seed(1)
  local x, y = torch.randn { 4, 3 }, torch.randn { 4, 3 }
  local d = x - y
  t.near(loss_of('mse', x, y):item(), d:square():mean():item(), 1e-6)
  t.near(loss_of('l1', x, y):item(), d:abs():mean():item(), 1e-6)
  local near = d:abs():lt(1):to 'float32'
  t.near(loss_of('huber', x, y):item(), (near * d:square() / 2 + (1 - near) * (d:abs() - 0.5)):mean():item(), 1e-6)
  t.near(loss_of('smooth_l1', x, y):item(), loss_of('huber', x, y):item(), 1e-6)
  local half = y:gt(0):to 'float32'
  t.near(loss_of('bce_with_logits', x, half):item(), (x:exp():log1p() - x * half):mean():item(), 1e-6)
  local classes = ids { 2, -100, 0, 1 }
  local picked = (x[0] - x[0]:logsumexp(0))[2] + (x[2] - x[2]:logsumexp(0))[0] + (x[3] - x[3]:logsumexp(0))[1]
  t.near(loss_of('cross_entropy', x, classes):item(), -picked:item() / 3, 1e-6)
  t.near(loss_of('nll', x:log_softmax(1), classes):item(), -picked:item() / 3, 1e-6)
  local _, targets = native.train.loss_of('cross_entropy', x, classes)
  t.equal(targets, 3)
  -- Classes in the last dimension, or, where only that fits, in dimension 1.
  local image = torch.randn { 2, 3, 5 }
  local wanted = torch.randint(0, 3, { 2, 5 })
  t.near(loss_of('cross_entropy', image, wanted):item(), torch.cross_entropy(image, wanted):item(), 1e-6)
  local text = image:transpose(1, 2)
  t.near(loss_of('cross_entropy', text, wanted):item(), torch.cross_entropy(image, wanted):item(), 1e-6)
end)

t.test('targets that do not fit are refused before anything is broadcast', function()
  local function refused(pattern, ...)
    local given = { ... }
    t.error_matches(function() native.train.loss_of(unpack(given)) end, pattern)
  end
  refused('loss mse: the model gives %(4, 1%), the targets are %(4%); both must have one shape, '
    .. 'such as with y:unsqueeze%(%-1%)', 'mse', torch.ones { 4, 1 }, torch.ones { 4 })
  refused("loss mse needs numbers as targets, got int64 %(4%); use y:to%('float32'%)", 'mse', torch.ones { 4 },
    ids { 1, 2, 3, 4 })
  refused('loss cross_entropy needs class numbers as targets %(int64%), got float32 %(4%)', 'cross_entropy',
    torch.ones { 4, 2 }, torch.ones { 4 })
  refused('loss nll: the model gives %(4, 2%), the targets are %(3%); '
    .. "targets have the output's shape without its last dimension", 'nll', torch.ones { 4, 2 }, ids { 0, 1, 0 })
  refused("loss 'mes' is not known; did you mean 'mse'%?; losses by name are cross_entropy, nll, mse", 'mes',
    torch.ones { 1 }, torch.ones { 1 })
end)

t.test('T-Score under each loss is that of n backward passes', function()
  torch.manual_seed(2)
  local n = 5
  local net = nn.Sequential { nn.Conv1d { 2, 4, 3, padding = 'same' }, nn.Tanh(), nn.Flatten(), nn.Linear { 4 * 6, 3 } }
  net:to 'float64'
  local x = torch.randn({ n, 2, 6 }, { dtype = 'float64' })
  local numbers, classes = torch.randn({ n, 3 }, { dtype = 'float64' }), torch.randint(0, 3, { n })
  local targets = { mse = numbers, l1 = numbers, huber = numbers, smooth_l1 = numbers,
    bce_with_logits = numbers:sigmoid(), cross_entropy = classes, nll = classes }
  for name, y in pairs(targets) do
    local function loss(first, last)
      local output = net(x[{ { first, last } }])
      return loss_of(name, name == 'nll' and output:log_softmax(1) or output, y[{ { first, last } }])
    end
    local exact = tscore.measure(net, function() return loss(0, n) end)
    local loop = tscore.loop(net, n, function(i) return loss(i, i + 1) end)
    t.near(exact.t, loop.t, 1e-10)
    for i = 1, n do t.near(exact.sample_sq[i] * n * n, loop.sample_sq[i], 1e-10 * (1 + loop.sample_sq[i])) end
  end
end)

-- Images of 8 x 8 whose class is where their bright bar lies; 40 for training, 22 for val: uneven numbers of batches.
local IMAGES = [[
local experiment, data, train = require 'experiment', require 'data', require 'train'
local torch, nn = require 'torch', require 'nn'
local cfg = experiment.config { optim = { lr = 0.01 }, train = { epochs = 3, seed = 5 }, tscore = { every = 1 },
  eval = { metrics = { 'accuracy', 'top2', 'perplexity' } }, guards = { init_loss = 'off' } }
local function images(n)
  local y = torch.arange(n):remainder(3)
  local x = torch.randn { n, 1, 8, 8 } * 0.5
  for i = 0, n - 1 do x[i][0][y[i]:item() * 2 + 1]:add_(2) end
  return x, y
end
local x, y = images(40)
local val_x, val_y = images(22)
local net = nn.Sequential {
  { 'conv', nn.Conv2d { 1, 6, 3, padding = 1 } }, { 'norm', nn.GroupNorm { 2, 6 } }, nn.LeakyReLU(),
  nn.MaxPool2d { 2 }, { 'path', nn.Residual { nn.Conv2d { 6, 6, 3, padding = 'same' } } },
  nn.AdaptiveAvgPool2d { { 4, 1 } }, nn.Flatten(), { 'head', nn.Linear { 24, 3 } } }
local text = data.tensors { x = x, y = y, val_x = val_x, val_y = val_y, batch = 10 }
local fit = train.fit {
  model = net, data = text, loss = LOSS, optim = cfg.optim, options = cfg.train, tscore = cfg.tscore }
]]

t.test('a convolutional net trains through train.fit, with the T-Score of n backward passes', function()
  local made = {}
  for _, mode in ipairs { 'exact', 'loop' } do
    local ran = runs.run('local LOSS = nil\n' .. IMAGES .. [[
      print(fit.state, fit.best.metrics.accuracy, fit.epochs[3].tscore.mean)]], 'tscore.mode=' .. mode)
    t.equal(ran.code, 0, ran.output)
    made[mode] = runs.metrics(ran.folder .. '/metrics.jsonl')
    t.matches(ran.output, 'epoch 3/3 .* val %d.%d+  accuracy [%d.]+  top2 [%d.]+  perplexity [%d.]+')
    t.matches(ran.output, 'best +val [%d.]+ %(train [%d.]+%) at epoch %d, accuracy')
    t.is_true(ran.exit.summary.val_accuracy.last > 0.8)
  end
  t.equal(#made.exact.train, 12)
  for i, line in ipairs(made.exact.train) do
    t.near(line.loss, made.loop.train[i].loss, 1e-5)
    t.near(line.tscore, made.loop.train[i].tscore, 1e-4)
  end
end)

t.test('metrics are over all targets of val, whatever the batches', function()
  local ran = runs.run('local LOSS = "cross_entropy"\n' .. IMAGES .. [[
    torch.no_grad(function()
      net:eval()
      local logits = net(val_x)
      local right = logits:argmax(1):eq(val_y):to 'float64'
      local second = logits:topk(2, 1)
      print('HERE', torch.cross_entropy(logits, val_y):item(), right[{ { 0, 20 } }]:mean():item(), right:mean():item())
    end)]])
  t.equal(ran.code, 0, ran.output)
  local loss, of_whole_batches, of_all = ran.output:match 'HERE%s+(%S+)%s+(%S+)%s+(%S+)'
  local eval = runs.metrics(ran.folder .. '/metrics.jsonl').eval
  local last = eval[#eval]
  -- Whether the incomplete last batch of val counts is up to the data; the metrics and the loss agree on it.
  local accuracy = last.targets == 22 and of_all or of_whole_batches
  t.near(last.accuracy, tonumber(accuracy), 1e-9)
  if last.targets == 22 then t.near(last.loss, tonumber(loss), 1e-4) end
  t.near(last.perplexity, math.exp(last.loss), 1e-3)
end)

t.test('regression has its metrics, and wrong names are told with the right ones', function()
  local function regression(loss, metrics, y)
    return runs.run(([[
      local experiment, data, train = require 'experiment', require 'data', require 'train'
      local torch, nn = require 'torch', require 'nn'
      local cfg = experiment.config {
        optim = { lr = 0.05 }, train = { epochs = 40, seed = 5 }, eval = { metrics = %s } }
      local x = torch.randn { 32, 2 }
      local y = x:matmul(torch.tensor { { 1 }, { -2 } }) + 0.5
      local set = data.tensors { x = x, y = %s, val_x = x, val_y = %s, batch = 8 }
      local net = nn.Sequential { nn.Linear { 2, 1 } }
      local fit = train.fit { model = net, data = set, loss = '%s', optim = cfg.optim, options = cfg.train }
      local m, d = fit.epochs[40].metrics, torch.no_grad(function() return net(x) - y end)
      print('HERE', m.mae - d:abs():mean():item(), m.mse - d:square():mean():item(), m.rmse - math.sqrt(m.mse),
        m.r2 - (1 - d:square():sum():item() / (y - y:mean()):square():sum():item()), m.r2 > 0.9,
        fit.epochs[40].val_loss - m.mse)
    ]]):format(metrics, y or 'y', y or 'y', loss))
  end
  local ran = regression('mse', "{ 'mae', 'mse', 'rmse', 'r2' }")
  t.equal(ran.code, 0, ran.output)
  local found = { ran.output:match 'HERE%s+(%S+)%s+(%S+)%s+(%S+)%s+(%S+)%s+(%S+)%s+(%S+)' }
  t.equal(found[5], 'true')
  for _, i in ipairs { 1, 2, 3, 4, 6 } do t.near(tonumber(found[i]), 0, 1e-6) end
  local wrong = regression('mse', "{ 'acuracy' }")
  t.equal(wrong.code, 3)
  t.contains(wrong.output,
    "eval.metrics: 'acuracy' is not known; did you mean 'accuracy'?; metrics by name are accuracy, top5")
  local loss = regression('msee', '{}')
  t.equal(loss.code, 3)
  t.contains(loss.output, "loss 'msee' is not known; did you mean 'mse'?")
  local misfit = regression('mse', "{ 'accuracy' }")
  t.equal(misfit.code, 4)
  t.contains(misfit.output, 'metric accuracy needs class numbers as targets (int64), got float32 (8, 1)')
  local flat = regression('mse', '{}', 'y:squeeze(1)')
  t.equal(flat.code, 4)
  t.contains(flat.output, 'both must have one shape, such as with y:unsqueeze(-1)')
end)

t.test('BatchNorm has no T-Score by samplers, and the loop leaves its averages alone', function()
  local body = [[
    local experiment, data, train = require 'experiment', require 'data', require 'train'
    local torch, nn = require 'torch', require 'nn'
    local cfg = experiment.config { train = { epochs = 1, seed = 5 }, tscore = { every = 1 }, eval = { off = true } }
    local set = data.tensors { x = torch.randn { 12, 1, 4, 4 }, y = torch.randint(0, 2, { 12 }), batch = 6 }
    local net = nn.Sequential { nn.Conv2d { 1, 2, 3 }, nn.BatchNorm2d { 2 }, nn.Flatten(), nn.Linear { 8, 2 } }
    train.fit { model = net, data = set, options = cfg.train, tscore = cfg.tscore }
    print('HERE', net['1'].num_batches_tracked:item())
  ]]
  local refused = runs.run(body)
  t.equal(refused.code, 3)
  t.contains(refused.output,
    'tscore: BatchNorm2d in training mode normalises each sample by the statistics of the whole batch')
  t.contains(refused.output, "tscore.mode='loop'")
  local loop = runs.run(body, 'tscore.mode=loop')
  t.equal(loop.code, 0, loop.output)
  t.matches(loop.output, 'HERE%s+2\n')
end)

t.test('a Lua model within a sequence trains through the native loss, saves and resumes', function()
  local ran = runs.run [[
    local experiment, data, train = require 'experiment', require 'data', require 'train'
    local torch, nn = require 'torch', require 'nn'
    local cfg = experiment.config { train = { epochs = 2, seed = 5 }, tscore = { every = 1 } }
    local x, y = torch.randn { 24, 4 }, torch.randint(0, 3, { 24 })
    local set = data.tensors { x = x, y = y, val_x = x, val_y = y, batch = 8 }
    local inner = nn.Container 'Gate'
    inner.scale = nn.Parameter(torch.ones { 4 })
    inner.forward = function(m, input) return input * m.scale:sigmoid() end
    local net = nn.Sequential { { 'gate', inner }, { 'body', nn.Linear { 4, 3 } } }
    local fit = train.fit { model = net, data = set, options = cfg.train, tscore = cfg.tscore }
    print('HERE', inner.scale[0]:item() ~= 1, fit.state, net.gate == inner)
  ]]
  t.equal(ran.code, 0, ran.output)
  t.matches(ran.output, 'HERE%s+true%s+FINISHED%s+true')
end)
