-- T-Score from Lua: the samplers against n backward passes, undefined scores, and gradients left alone.
local fail = require 'fail'
local model = require 'model'
local models = require 'models'
local nn = require 'nn'
local t = require 'testing'
local torch = require 'torch'
local tscore = require 'tscore'

local B, T, V = 5, 6, 9

local function batch()
  torch.manual_seed(6)
  return torch.randint(0, V, { B, T }), torch.randint(0, V, { B, T })
end

local function loss_of(net, x, y)
  local logits = net(x)
  return torch.cross_entropy(logits:reshape { -1, logits:size(-1) }, y:reshape { -1 })
end

-- Samplers work in the parameters' dtype; float64 leaves rounding far below the tolerance.
local function expect_same(net)
  net:to 'float64'
  local x, y = batch()
  local exact = tscore.measure(net, function() return loss_of(net, x, y) end)
  local loop = tscore.loop(net, B, function(i) return loss_of(net, x[{ { i, i + 1 } }], y[{ { i, i + 1 } }]) end)
  t.fields(exact, { method = 'exact', status = 'ok', n = B })
  t.equal(loop.method, 'loop')
  t.near(exact.t, loop.t, 1e-10)
  t.near(exact.t_corrected, exact.t * B / (B - 1), 1e-12)
  for i = 1, B do
    -- The mean loss of the batch holds 1/B of each sample's own loss.
    t.near(exact.sample_sq[i] / exact.q, loop.sample_sq[i] / loop.q, 1e-10)
  end
end

t.test('measure agrees with the loop on recurrent models', function()
  for _, cell in ipairs { 'gru', 'lstm' } do
    expect_same(models.char_rnn { vocab = V, cell = cell, embed = 4, hidden = 5, layers = 2 })
  end
end)

t.test('measure agrees with the loop on a model written in Lua', function()
  local mean_net = model.define {
    args = { tied = { 'boolean', false } },
    build = function(a)
      local made = { embed = nn.Embedding { V, 4 }, norm = nn.LayerNorm { 4 }, mix = nn.Linear { 4, 4 },
        head = nn.Linear { 4, V, bias = false } }
      if a.tied then made.head.weight = made.embed.weight end
      return made
    end,
    forward = function(m, x) return m.head(m.mix(m.norm(m.embed(x)):cumsum(1)):tanh()) end,
  }
  expect_same(mean_net {})
  expect_same(mean_net { tied = true })
end)

t.test('measure is the formula over rows of gradients', function()
  local net = nn.Linear { 3, 1, bias = false }
  local x = torch.randn { 4, 3 }
  local rows = (net(x) * x):detach()
  local score = tscore.of_rows(rows)
  t.near(tscore.measure(net, function() return net(x):square():mean() end).t, score.t, 1e-5)
  t.near(score.t, 1 - rows:sum(0):square():sum():item() / (4 * rows:square():sum():item()), 1e-5)
end)

t.test('identical samples give 0, opposing ones 1', function()
  t.near(tscore.of_rows(torch.ones { 3, 2 }).t, 0, 1e-12)
  t.near(tscore.of_rows(torch.tensor { { 1, 0 }, { -1, 0 } }).t, 1, 1e-12)
  t.near(tscore.compute(2, 2, 2).t, 0.5, 1e-12)
end)

t.test('a score that does not exist is nil, with the reason', function()
  local function undefined(score, status)
    t.equal(score.t, nil)
    t.equal(score.t_corrected, nil)
    t.equal(score.raw, nil)
    t.equal(score.status, status)
  end
  undefined(tscore.of_rows(torch.ones { 1, 2 }), 'too_few')
  undefined(tscore.of_rows(torch.zeros { 3, 2 }), 'vanishing')
  undefined(tscore.compute(0 / 0, 1, 3), 'nonfinite')
  undefined(tscore.compute(1, math.huge, 3), 'nonfinite')
  local net = nn.Linear { 2, 1 }
  undefined(tscore.measure(net, function() return net(torch.ones { 1, 2 }):sum() end), 'too_few')
end)

t.test('the published formula is there under its name', function()
  t.near(tscore.compute(2, 2, 2, { compat = 'v1.1' }).t, 1 - 2 / (2 + 1e-8) / 2, 1e-12)
  t.equal(tscore.compute(1, 1, 1, { compat = 'v1.1' }).t, 0.5)
  t.equal(tscore.of_rows(torch.ones { 1, 2 }, { compat = 'v1.1' }).t, 0.5)
  local err = t.error_matches(function() tscore.compute(1, 1, 2, { compat = 'v2' }) end,
    "option 'compat' is 'v2', expected one of none, v1.1")
  t.equal(fail.code_of(err), 3)
end)

-- The rows' own estimates, written out.
local function noise_of(rows)
  local n = rows:size(0)
  local mean_sq, sq_mean = rows:square():sum(1):mean():item(), rows:mean(0):square():sum():item()
  return (mean_sq - sq_mean) * n / (n - 1), (n * sq_mean - mean_sq) / (n - 1)
end

t.test('the noise scale is the trace of the covariance over the squared mean gradient', function()
  torch.manual_seed(8)
  local net = nn.Linear { 3, 1, bias = false }
  net:to 'float64'
  local x = torch.randn({ 6, 3 }, { dtype = 'float64' }) + 1
  local rows = (net(x) * x):detach() -- of the losses y^2 / 2
  local trace, signal = noise_of(rows)
  local function loss() return net(x):square() / 2 end
  for _, noise in ipairs {
    tscore.of_rows(rows).noise,
    tscore.measure(net, function() return loss():mean() end).noise,
    tscore.measure(net, function() return loss():sum() end, { reduction = 'sum' }).noise,
    tscore.loop(net, 6, function(i) return loss()[{ { i, i + 1 } }]:sum() end).noise,
    tscore.compute(rows:sum(0):square():sum():item(), rows:square():sum():item(), 6).noise,
  } do
    t.equal(noise.status, 'ok')
    t.near(noise.trace, trace, 1e-10 * trace)
    t.near(noise.signal, signal, 1e-10 * signal)
    t.near(noise.scale, trace / signal, 1e-9 * trace / signal)
  end
  local none = tscore.of_rows(torch.tensor { { 1, 0 }, { -1, 0 } }).noise
  t.equal(none.scale, nil)
  t.fields(none, { status = 'no_signal', signal = -1 })
  t.equal(tscore.of_rows(torch.ones { 1, 2 }).noise, { status = 'too_few' })
end)

t.test('groups are scores of parts of the model', function()
  local net = models.char_rnn { vocab = V, embed = 4, hidden = 5, layers = 1 }
  net:to 'float64'
  local x, y = batch()
  for groups, count in pairs { module = 3, parameter = 7 } do
    local exact = tscore.measure(net, function() return loss_of(net, x, y) end, { groups = groups })
    local loop = tscore.loop(net, B, function(i) return loss_of(net, x[{ { i, i + 1 } }], y[{ { i, i + 1 } }]) end,
      { groups = groups })
    t.equal(#exact.groups, count)
    t.equal(#loop.groups, count)
    local s = 0
    for i, group in ipairs(exact.groups) do
      t.fields(group, { name = loop.groups[i].name, status = 'ok' })
      t.near(group.t, loop.groups[i].t, 1e-10)
      s = s + group.s
    end
    t.near(s, exact.s, 1e-12 * s)
  end
  t.equal(tscore.measure(net, function() return loss_of(net, x, y) end).groups, nil)
  for option, value in pairs { groups = 'layer', reduction = 'max' } do
    local err = t.error_matches(function() tscore.measure(net, error, { [option] = value }) end,
      ("option '%s' is '%s'"):format(option, value))
    t.equal(fail.code_of(err), 3, option)
  end
  t.error_matches(function() tscore.measure(net, error, { verfy = true }) end, 'verfy')
end)

t.test('gradients are put back, after errors too', function()
  local net = nn.Linear { 2, 1 }
  local x = torch.randn { 4, 2 }
  net(x):sum():backward()
  local before = net.weight.grad:clone()
  tscore.measure(net, function() return net(x):square():mean() end)
  t.is_true(torch.equal(net.weight.grad, before))
  tscore.loop(net, 4, function(i) return net(x[{ { i, i + 1 } }]):square():mean() end)
  t.is_true(torch.equal(net.weight.grad, before))
  t.error_matches(function() tscore.measure(net, function() error 'boom' end) end, 'boom')
  t.is_true(torch.equal(net.weight.grad, before))
  t.is_true(tscore.measure(net, function() return net(x):square():mean() end).t ~= nil)
end)

t.test('a parameter whose use tells no samples apart is an error that names it', function()
  local net = nn.Container 'net'
  net.body = nn.Linear { 3, 3 }
  net.forward = function(m, x) return torch.linear(m.body(x), m.body.weight:cumprod(0)) end
  local x = torch.randn { 4, 3 }
  local err = t.error_matches(function() tscore.measure(net, function() return net(x):square():mean() end) end,
    "body.weight'")
  t.equal(fail.code_of(err), 3)
  t.error_matches(function() tscore.measure(net, function() return torch.ones { 1 } end) end,
    'depends on no trainable parameter')
  t.error_matches(function() tscore.measure(net, function() return net(x) end) end,
    'loss must have one element, got float32 {4, 3}')
  t.error_matches(function() tscore.measure(net, function() return 3 end) end, 'expected a Tensor, got number 3')
end)

t.test('time in dimension 0 is refused', function()
  local net = nn.GRU { 2, 3, batch_first = false }
  t.error_matches(function() tscore.measure(net, function() return (net(torch.ones { 4, 2, 2 })):sum() end) end,
    'batch_first=true')
end)

t.test('a gradient from outside of the layers is refused, not shown as 0', function()
  local net = require('nn').Linear { 3, 1 }
  local x = torch.randn { 4, 3 }
  local function loss() return net(x):pow(2):mean() + 10 * net.weight:square():sum() end
  for _, verify in ipairs { true, false } do
    t.error_matches(function() return tscore.measure(net, loss, { verify = verify }) end,
      "parameter 'weight' is used by torch.add which gives no gradients of single samples .*tscore.mode='loop'")
  end
end)
