-- train.precision and train.emulate as users set them: the curve, the plan, what the run records, and what is refused.
local native = require 'lanthorn'
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'

-- A text with a pattern, and a small character GRU.
local CHAR_GRU = [[
local experiment, data, models, train = require 'experiment', require 'data', require 'models', require 'train'
local cfg = experiment.config {
  train = { epochs = 1, max_steps = 40, seed = 3 }, optim = { lr = 0.01 }, tscore = { every = 1 },
  data = { file = '%s/text.txt', batch = 8, seq = 20, stride = 20, allow_leak = true } }
local text = data.text(cfg.data)
local net = models.char_rnn { vocab = text.vocab_size, cell = 'gru', embed = 12, hidden = 24 }
local fit = train.fit { model = net, data = text, optim = cfg.optim, options = cfg.train, tscore = cfg.tscore }
print('val ' .. fit.best.val_loss)]]

runs.write('text.txt', texts.animals(1500))

-- Runs a script with these settings; gives output, exit code, training losses, and config.json's values.
local function run(script, ...)
  local ran, losses = runs.run(script, ...), {}
  for i, row in ipairs(ran.lines.train or {}) do losses[i] = row.loss end
  return ran.output, ran.code, losses, ran.config
end

local function char_gru(...)
  return run(CHAR_GRU:format(runs.root), ...)
end

local exact_output, exact_code, exact = char_gru()

t.test('fp32 is the default and is not mentioned', function()
  t.equal(exact_code, 0, exact_output)
  t.equal(#exact, 40)
  t.is_true(exact[40] < 0.8 * exact[1])
  t.is_true(not exact_output:find('fp32', 1, true) and not exact_output:find('emulated', 1, true), exact_output)
end)

t.test('bf16, emulated, trains on a curve near that of fp32 but its own', function()
  local output, code, losses, values = char_gru('train.precision=bf16', 'train.emulate=true')
  t.equal(code, 0, output)
  t.matches(output, 'plan%s+[^\n]+; in bf16, emulated\n')
  t.matches(output, 'step%s+[^\n]+ tokens/s, in bf16, emulated\n')
  t.fields(values.train, { precision = 'bf16', emulate = true })
  t.is_true(losses[40] < 0.8 * losses[1])
  local different = 0
  for i = 1, 40 do
    t.near(losses[i], exact[i], 0.05)
    if losses[i] ~= exact[i] then different = different + 1 end
  end
  t.is_true(different >= 39, different)
  local val, exact_val = tonumber(output:match 'val (%S+)\n?$'), tonumber(exact_output:match 'val (%S+)\n?$')
  t.is_true(val ~= exact_val)
  t.near(val, exact_val, 0.05)
end)

t.test('fp32_split, emulated, stays on the curve of fp32', function()
  local output, code, losses = char_gru('train.precision=fp32_split', 'train.emulate=true', 'train.max_steps=20')
  t.equal(code, 0, output)
  t.contains(output, '; in fp32_split, emulated\n')
  local different = 0
  for i = 1, 20 do
    t.near(losses[i], exact[i], 1e-3)
    if losses[i] ~= exact[i] then different = different + 1 end
  end
  t.is_true(different > 0)
end)

t.test('a CPU with bf16 trains natively, any other says what to do instead before anything trains: exit 9', function()
  for _, name in ipairs { 'bf16', 'fp32_split' } do
    local missing = native.diagnostics.missing_precision(name)
    local output, code, losses = char_gru('train.precision=' .. name, 'train.max_steps=8')
    if missing then
      t.equal(code, 9, output)
      t.equal(#losses, 0, output)
      t.contains(output, missing)
      t.contains(output, "use precision='fp32', or train.emulate=true for the same rounding without the speed")
    else
      t.equal(code, 0, output)
      t.equal(#losses, 8, output)
      for i = 1, 8 do t.near(losses[i], exact[i], 0.05) end
    end
  end
  t.equal(native.diagnostics.missing_precision 'fp32', nil)
end)

t.test('a wrong name is exit 3 with the nearest', function()
  local output, code, losses = char_gru 'train.precision=bf61'
  t.equal(code, 3, output)
  t.equal(#losses, 0, output)
  t.contains(output, "option 'precision' is 'bf61'; nearest: bf16")
  t.error_matches(function() native.diagnostics.missing_precision 'fp32_spilt' end,
    "precision 'fp32_spilt' is not known; use fp32, fp32_split or bf16; did you mean 'fp32_split'")
end)

t.test('emulation of nothing is exit 3', function()
  local output, code = char_gru 'train.emulate=true'
  t.equal(code, 3, output)
  t.contains(output, "train.emulate=true: there is nothing to emulate in train.precision='fp32'; "
    .. "remove it, or set train.precision to 'bf16' or 'fp32_split'")
end)

local LINEAR = [[
local data, train, torch, nn = require 'data', require 'train', require 'torch', require 'nn'
local x = torch.randn { 8, 3 }
local net = nn.Sequential { nn.Linear { 3, 3 } }
train.fit { model = net, data = data.tensors { x = x, y = x:argmax { dim = 1 } },
  options = { precision = 'bf16', emulate = true }, guards = { init_loss = 'off' }, eval = { off = true } }]]

t.test('a model in which no layer computes in it is exit 3', function()
  local output, code = run(LINEAR)
  t.equal(code, 3, output)
  t.contains(output,
    "train.precision='bf16': no layer of this model computes in it (GRU and LSTM do, transformer blocks in 'bf16'); "
    .. "remove it or use 'fp32'")
end)

t.test('a float64 model is exit 3 and names a parameter', function()
  local script = CHAR_GRU:format(runs.root):gsub('local fit', "net:to('float64')\n%0")
  local output, code = run(script, 'train.precision=bf16', 'train.emulate=true')
  t.equal(code, 3, output)
  t.contains(output,
    "train.precision='bf16': parameter 'embed.weight' is float64, all must be float32; use model:to('float32')")
end)

t.test('a model with a forward in Lua lowers the layers it holds', function()
  local script = CHAR_GRU:format(runs.root):gsub('local net = [^\n]+', [[
local nn, model = require 'nn', require 'model'
local net = model.define { name = 'own', args = { vocab = 'int' },
  build = function(a)
    return { embed = nn.Embedding { a.vocab, 12 }, rnn = nn.GRU { 12, 24 }, head = nn.Linear { 24, a.vocab } }
  end,
  forward = function(m, ids) return m.head((m.rnn(m.embed(ids)))) end } { vocab = text.vocab_size }]])
  local _, exact_code_lua, plain = run(script, 'train.max_steps=3')
  local output, code, losses = run(script, 'train.max_steps=3', 'train.precision=bf16', 'train.emulate=true')
  t.equal(code, 0, output)
  t.equal(exact_code_lua, 0, output)
  t.is_true(losses[1] ~= plain[1])
  t.near(losses[3], plain[3], 0.05)
end)

t.test('T-Score by itself is fp32, also inside a callback of a training in bf16', function()
  local script = CHAR_GRU:format(runs.root):gsub('local fit.*$', [[
local tscore = require 'tscore'
local x, y = text.train:get(0)
local function score()
  return tscore.measure(net, function()
    return require('torch').cross_entropy_loss((net(x)):reshape { -1, text.vocab_size }, y:reshape { -1 })
  end).q
end
local inside
train.fit { model = net, data = text, optim = cfg.optim, options = cfg.train, tscore = cfg.tscore,
  callbacks = { { every = 1, on_step = function() inside = score() end } } }
print(('same %%s'):format(tostring(inside == score() and inside > 0)))]])
  local output, code = run(script, 'train.max_steps=2', 'train.precision=bf16', 'train.emulate=true', 'tscore.every=0')
  t.equal(code, 0, output)
  t.contains(output, 'same true')
end)
