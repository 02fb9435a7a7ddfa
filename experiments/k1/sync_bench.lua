-- sync_bench: what do the published implementation's habits cost? Steps a second: node by node, all nodes of a level
-- at once, and with a read of the norms, a mask built or a full sort of all gradients in every step.
local arms, experiment, host, nn = require 'arms', require 'experiment', require 'host', require 'nn'
local optim, torch = require 'optim', require 'torch'

local cfg = experiment.config {
  model = { branching = { 3, 3 }, d_model = 128, heads = 4, ff = 256 },
  bench = { batch = 16, seq = 64, steps = 20, rounds = 5, warm_up = 5 },
  train = { seed = 42 },
}
if experiment.current().flags.fast_dev_run then cfg.bench.steps, cfg.bench.warm_up = 2, 1 end

local device = torch.device(cfg.train.device)
local m, x = cfg.model, torch.randn({ cfg.bench.batch, cfg.bench.seq, cfg.model.d_model }):to(device)
local tree = nn.Tree { m.branching, m.d_model, m.heads, m.ff }
tree:to(device)
local sizes, blocks = { 1 }, {}
for _, b in ipairs(m.branching) do sizes[#sizes + 1] = sizes[#sizes] * b end
for level, size in ipairs(sizes) do
  blocks[level] = {}
  for i = 1, size do
    blocks[level][i] = nn.TransformerEncoderLayer { m.d_model, m.heads, m.ff, dropout = 0, causal = true }
    blocks[level][i]:to(device)
  end
end
local all = {}
for _, level in ipairs(blocks) do
  for _, block in ipairs(level) do
    for _, parameter in ipairs(block:named_parameters()) do all[#all + 1] = parameter.tensor end
  end
end

local function node_by_node()
  local h = x
  for _, level in ipairs(blocks) do
    local sum
    for _, block in ipairs(level) do sum = sum and sum + block(h) or block(h) end
    h = sum / #level
  end
  return h
end

-- Until the device has done all that it was given: reading a value waits for that.
local function wait() x:sum():item() end

local cells = {}
local function time(name, forward, optimizer, extra)
  local warm = false
  cells[#cells + 1] = { name, function()
    local function step()
      optimizer:zero_grad()
      forward():square():mean():backward()
      optimizer:step()
      if extra then extra() end
    end
    for _ = 1, warm and 0 or cfg.bench.warm_up do torch.scope(step) end
    warm = true
    wait()
    local begin = host.now()
    for _ = 1, cfg.bench.steps do torch.scope(step) end
    wait()
    return { rate = cfg.bench.steps / (host.now() - begin) }
  end }
end

local plain, masked = optim.AdamW(tree, { lr = 1e-3 }), optim.AdamW(tree, { lr = 1e-3 })
local selection = optim.select(masked, tree, { rule = 'path' })
local function batched() return tree(x) end
local NODES, LEVELS = 'node by node', 'levels at once'
local PATH = LEVELS .. '; one path moves'
time(NODES, node_by_node, optim.AdamW(all, { lr = 1e-3 }))
time(LEVELS, batched, plain)
time(PATH, batched, masked)
time(PATH .. '; norms read in every step', batched, masked, function() selection:score():tolist() end)
time(PATH .. '; a mask built in every step', batched, masked, function()
  for _ = 1, #sizes do torch.ones({ cfg.bench.seq, cfg.bench.seq }, { device = device }):triu(1):bool() end
end)
time(PATH .. '; all gradients sorted in every step', batched, masked, function()
  local flat = {}
  for i, parameter in ipairs(tree:named_parameters()) do flat[i] = parameter.tensor.grad:flatten():abs() end
  torch.sort(torch.cat(flat))
end)
local rounds = {}
for i = 1, cfg.bench.rounds do rounds[i] = i end
-- The rounds are paired: a machine has slow times.
local result = arms.run { seeds = rounds, baseline = PATH, arms = cells, unit = 'round' }
arms.print(result, { { 'rate', 'steps/s' } })
print('\n' .. arms.finding(result, 'rate', 'steps/s'))
print(arms.finding(arms.against(result, LEVELS, { NODES, LEVELS }), 'rate', 'steps/s'))
