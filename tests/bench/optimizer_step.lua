-- optimizer_step: one update and one gradient norm over 8 M parameters in 40 tensors, and over the char GRU's 716,225;
-- medians in ms, and GB/s of the bytes that one pass has to move (Adam: reads p, g, m, v and writes p, m, v).
--   runner tests/bench/optimizer_step.lua [-- repetitions]
local host, models, optim, torch = require 'host', require 'models', require 'optim', require 'torch'

local repetitions = tonumber(arg and arg[1]) or 31

local function median(values)
  table.sort(values)
  return values[math.floor((#values + 1) / 2)]
end

local function time(body)
  local times = {}
  for i = 1, repetitions + 3 do
    local begin = host.now()
    body()
    if i > 3 then times[#times + 1] = (host.now() - begin) * 1e3 end
  end
  return median(times)
end

local function forty_tensors()
  local list = {}
  for i = 1, 40 do list[i] = torch.randn { 200, 1000 }:requires_grad_(true) end
  return list, 8e6
end

local function char_gru()
  local net = models.char_rnn { vocab = 65 }
  local list = {}
  for i, parameter in ipairs(net:named_parameters()) do list[i] = parameter.tensor end
  return list, net:parameter_count()
end

print(('threads %d, medians of %d'):format(torch.get_num_threads(), repetitions))
for _, case in ipairs { { '8 M in 40 tensors', forty_tensors }, { 'char GRU', char_gru } } do
  local list, elements = case[2]()
  for _, p in ipairs(list) do (p * torch.randn_like(p)):sum():backward() end
  local function row(what, floats, body)
    local ms = time(body)
    print(('%-18s %-22s %8.3f ms  %6.1f GB/s'):format(case[1], what, ms, elements * 4 * floats / ms / 1e6))
  end
  local adamw, sgd = optim.AdamW(list, { lr = 1e-4 }), optim.SGD(list, { lr = 1e-4, momentum = 0.9 })
  local rmsprop = optim.RMSprop(list, { lr = 1e-4 })
  row('AdamW', 7, function() adamw:step() end)
  row('SGD, momentum', 5, function() sgd:step() end)
  row('RMSprop', 5, function() rmsprop:step() end)
  row('gradient norm', 1, function() optim.grad_norm(list) end)
end
