-- tscore_adversarial: batches that were made to fool a score: identical and contradictory samples, a model that has
-- learnt all of them, flipped labels; in our form and in the published ones.
local data, experiment, models, torch = require 'data', require 'experiment', require 'models', require 'torch'
local columns, train, tscore = require 'base.columns', require 'train', require 'tscore'

local cfg = experiment.config {
  model = { hidden = { 32, 32 } },
  optim = { name = 'adam', lr = 1e-2 },
  train = { epochs = 400, seed = 1 },
  eval = { off = true },
  attack = { samples = 32, inputs = 16 },
}

local N, D = cfg.attack.samples, cfg.attack.inputs
torch.manual_seed(cfg.train.seed)
local function network() return models.mlp { inputs = D, outputs = 2, hidden = cfg.model.hidden } end
local function loss_of(model, x, y) return torch.cross_entropy_loss(model(x), y) end

-- The gradients of all samples, (N, P).
local function gradients(model, x, y)
  local rows = {}
  for i = 0, x:size(0) - 1 do
    model:zero_grad()
    loss_of(model, x:narrow(0, i, 1), y:narrow(0, i, 1)):backward()
    local parts = {}
    for p, parameter in ipairs(model:parameters()) do
      parts[p] = (parameter.grad or torch.zeros_like(parameter)):detach():flatten()
    end
    rows[i + 1] = torch.cat(parts):clone()
  end
  model:zero_grad()
  return torch.stack(rows)
end

local FORMS = { 'none', 'v1.1', 'sigmoid', 'shadow', 'plugin' }
local scores = {} -- batch -> form -> score
local lines = { { 'batch', 'ours', 'v1.1', 'sigmoid', 'shadow', 'plugin', 'published v1.1 (sigmoid)' } }
local function add(name, model, x, y, theirs)
  local rows, line = gradients(model, x, y), { name }
  scores[name] = {}
  for i, compat in ipairs(FORMS) do
    local score = tscore.of_rows(rows, { compat = compat })
    -- Our score of a model knows how small its gradients are beside its weights.
    if compat == 'none' then
      score = tscore.measure(model, function() return loss_of(model, x, y) end, { verify = false })
    end
    scores[name][compat] = score
    line[i + 1] = score.t and ('%.4f'):format(score.t) or score.status
  end
  line[#line + 1] = theirs
  lines[#lines + 1] = line
end

local model, x = network(), torch.randn { N, D }
local y = torch.randint(2, { N })
add('untrained, random labels', model, x, y, '-')
add('collapse: one sample, N times', model, x:narrow(0, 0, 1):expand { N, D }:contiguous(),
  y:narrow(0, 0, 1):expand { N }:contiguous(), '6e-8 (.516)')

-- The same input with both labels, under a model that has no opinion.
local neutral = network()
torch.no_grad(function()
  local parameters = neutral:parameters()
  parameters[#parameters - 1]:zero_()
  parameters[#parameters]:zero_()
end)
local pairs_x = torch.cat { x:narrow(0, 0, 1):expand { N / 2, D }, x:narrow(0, 0, 1):expand { N / 2, D } }:contiguous()
add('contradictory: one input, both labels', neutral, pairs_x, torch.arange(N):remainder(2):to 'int64', '1.0 (1.0)')

train.fit { model = model, data = data.tensors { x = x, y = y }, loss = 'cross_entropy', optim = cfg.optim,
  options = cfg.train, eval = cfg.eval, run = false }
add('overfit: all labels learnt', model, x, y, '.998 (.500)')
local flipped = torch.cat { 1 - y:narrow(0, 0, N / 4), y:narrow(0, N / 4, N - N / 4) }
add('the same, a quarter of the labels flipped', model, x, flipped, '.941 -> .838')
torch.no_grad(function()
  for _, parameter in ipairs(model:parameters()) do parameter:mul_(40) end
end)
add('the same model, outputs that saturate', model, x, y, '-')
print(table.concat(columns.lines(lines), '\n'))

local function said(batch, compat)
  local score = scores[batch][compat]
  return score.t and ('%.3f'):format(score.t) or 'undefined, ' .. score.status
end
local dead, alike = 'the same model, outputs that saturate', 'collapse: one sample, N times'
print(('\nFound: of outputs that saturate our T is %s, v1.1 %s, sigmoid %s, plugin %s; of identical samples ours is '
  .. '%s, sigmoid %s, shadow %s.'):format(said(dead, 'none'), said(dead, 'v1.1'), said(dead, 'sigmoid'),
  said(dead, 'plugin'), said(alike, 'none'), said(alike, 'sigmoid'), said(alike, 'shadow')))
