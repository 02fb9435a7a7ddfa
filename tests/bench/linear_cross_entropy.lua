-- linear_cross_entropy: last layer and loss, forward and backward: fused, against torch.linear and
-- torch.cross_entropy_loss; medians in ms, side by side.
--   runner tests/bench/linear_cross_entropy.lua [-- repetitions]
local bench = require 'benchmark.harness'
local host, torch, nn, tscore = require 'host', require 'torch', require 'nn', require 'tscore'

local repetitions = tonumber(arg and arg[1]) or 15

print(('threads %d, medians of %d'):format(torch.get_num_threads(), repetitions))
for _, case in ipairs { { 64, 100, 256, 65 }, { 32, 64, 128, 67 }, { 64, 64, 128, 10000 }, { 4, 64, 768, 50257 } } do
  local N, K, C, V = unpack(case)
  local head = nn.Linear { C, V }
  local x = torch.randn { N, K, C }:requires_grad_(true)
  local y = torch.randint(V, { N, K })
  local function fused() return torch.linear_cross_entropy(x, head.weight, head.bias, y) end
  local function plain() return torch.cross_entropy_loss(head(x):reshape { -1, V }, y:reshape { -1 }) end
  local function step(loss)
    x.grad = nil
    head:zero_grad()
    loss():backward()
  end
  local function scored(loss) tscore.measure(head, loss, { verify = false }) end
  local rows = { { step, plain }, { step, fused }, { scored, plain }, { scored, fused } }
  local times = { {}, {}, {}, {} }
  for i = 1, repetitions + 2 do
    for which, row in ipairs(rows) do
      if N * V < 100000 or i <= 5 or which <= 2 then
        local begin = host.now()
        torch.scope(function() row[1](row[2]) end)
        if i > 2 then table.insert(times[which], (host.now() - begin) * 1e3) end
      end
    end
    collectgarbage()
  end
  print(('%3d x %3d, C %3d, V %5d   plain %8.2f ms  fused %8.2f ms   with T-Score: plain %8.2f ms  fused %8.2f ms')
    :format(N, K, C, V, bench.median(times[1]), bench.median(times[2]), bench.median(times[3]), bench.median(times[4])))
end
