-- train.recompute, activation checkpointing: the same numbers in less memory, and what the plan says of it.
local runs = require 'testing.runs'
local t = require 'testing'

local SCRIPT = [[
local experiment, data, train = require 'experiment', require 'data', require 'train'
local models, torch = require 'models', require 'torch'
local cfg = experiment.config { train = { epochs = 1, seed = 3 }, tscore = { every = 1 }, optim = { lr = 0.01 },
  eval = { off = true }, rows = 4, dropout = 0.1, kind = 'blocks' }
local x = torch.randint(0, 13, { cfg.rows * 4, 32 }, { dtype = 'int64' })
local make = { blocks = function() return models.transformer_lm { vocab = 13, max_len = 32, d_model = 32, heads = 2,
    ff = 64, layers = 6, dropout = cfg.dropout } end,
  tree = function() return models.k1_tree { vocab = 13, max_len = 32, d_model = 32, heads = 2, ff = 64,
    branching = { 2, 2 }, dropout = cfg.dropout } end,
  gru = function() return models.char_rnn { vocab = 13, embed = 8, hidden = 8 } end }
train.fit { model = make[cfg.kind](), data = data.tensors { x = x, y = x, batch = cfg.rows }, tscore = cfg.tscore,
  options = cfg.train, optim = cfg.optim, eval = cfg.eval }]]

-- Loss, gradient norm and T-Score of each update.
local function numbers(ran)
  t.equal(ran.code, 0, ran.output)
  local all = {}
  for i, row in ipairs(ran.lines.train) do
    all[i] = ('%.17g %.17g %.17g'):format(row.loss, row.grad_norm, row.tscore)
  end
  return table.concat(all, '\n')
end

t.test('every number of a training is the same, bit for bit', function()
  for _, words in ipairs { { 'kind=blocks' }, { 'kind=tree' }, { 'kind=blocks', 'rows=2', 'train.accumulate=2' } } do
    local kept, again = runs.run(SCRIPT, unpack(words)), runs.run(SCRIPT, 'train.recompute=true', unpack(words))
    t.equal(numbers(again), numbers(kept), table.concat(words, ' '))
  end
end)

t.test('the plan says what a step takes with and without it', function()
  local ran = runs.run(SCRIPT, 'train.recompute=true', 'rows=64', 'train.max_steps=1', 'tscore.every=0')
  local with, without = ran.output:match 'one step (%d+) MB %((%d+) MB without train%.recompute%)'
  t.is_true(with ~= nil, ran.output)
  t.is_true(tonumber(with) < 0.6 * tonumber(without), with .. ' of ' .. without)
  t.is_true(not runs.run(SCRIPT, 'train.max_steps=1').output:find 'without train.recompute')
end)

t.test('a model in which nothing heeds it is refused', function()
  local ran = runs.run(SCRIPT, 'train.recompute=true', 'kind=gru')
  t.equal(ran.code, 3)
  t.contains(ran.output, 'train.recompute=true: no layer of this model computes its activations again')
end)
