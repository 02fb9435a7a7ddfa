-- sync_bench: what do the published implementation's habits cost? Steps a second: node by node, all nodes of a level at once, and with a
-- read of the norms in every step, a mask built in every step, a full sort of all gradients in every step.
local experiment, host, nn, optim, torch = require 'experiment', require 'host', require 'nn', require 'optim', require 'torch'

local cfg = experiment.config {
  model = { branching = { 3, 3 }, d_model = 128, heads = 4, ff = 256 },
  bench = { batch = 16, seq = 64, steps = 100, warm_up = 5 },
  train = { seed = 42 },
}
if experiment.current().flags.fast_dev_run then cfg.bench.steps, cfg.bench.warm_up = 2, 1 end

local m, x = cfg.model, torch.randn { cfg.bench.batch, cfg.bench.seq, cfg.model.d_model }
local tree = nn.Tree { m.branching, m.d_model, m.heads, m.ff }
local sizes, blocks = { 1 }, {}
for _, b in ipairs(m.branching) do sizes[#sizes + 1] = sizes[#sizes] * b end
for level, size in ipairs(sizes) do
  blocks[level] = {}
  for i = 1, size do blocks[level][i] = nn.TransformerEncoderLayer { m.d_model, m.heads, m.ff, dropout = 0, causal = true } end
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

local function time(name, forward, optimizer, extra)
  local function step()
    optimizer:zero_grad()
    forward():square():mean():backward()
    optimizer:step()
    if extra then extra() end
  end
  for _ = 1, cfg.bench.warm_up do torch.scope(step) end
  local begin = host.now()
  for _ = 1, cfg.bench.steps do torch.scope(step) end
  local rate = cfg.bench.steps / (host.now() - begin)
  print(('%-44s %7.2f steps/s'):format(name, rate))
  return rate
end

local apart = time('node by node', node_by_node, optim.AdamW(all, { lr = 1e-3 }))
local plain = optim.AdamW(tree, { lr = 1e-3 })
local function batched() return tree(x) end
local dense = time('all nodes of a level at once', batched, plain)
local selection = optim.select(plain, tree, { rule = 'path' })
local path = time('the same, moving one path', batched, plain)
time('the same, norms read in every step', batched, plain, function() selection:report() end)
time('the same, a mask built in every step', batched, plain, function()
  for _ = 1, #sizes do torch.ones({ cfg.bench.seq, cfg.bench.seq }):triu(1):bool() end
end)
time('the same, all gradients sorted in every step', batched, plain, function()
  local flat = {}
  for i, parameter in ipairs(tree:named_parameters()) do flat[i] = parameter.tensor.grad:flatten():abs() end
  torch.sort(torch.cat(flat))
end)
print(('\nFound: levels at once are %.2f times as fast as node by node; selecting a path costs %.1f %% of a step.'):format(dense / apart,
  100 * (dense / path - 1)))
