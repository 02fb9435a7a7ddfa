-- The optimiser's update alone, over 8 million parameters in 40 tensors: bound by memory, so its rate in GB/s counts.
local harness = require 'benchmark.harness'

local workload = { summary = 'optimiser update alone: 8,000,000 parameters in 40 tensors', needs_bandwidth = true }

local PARAMETERS, TENSORS = 8e6, 40

-- Floats that an update must read and write for each parameter: p and its gradient, each moment, p and moments back.
local CASES = {
  { name = 'Adam', floats = 7, options = { lr = 1e-3 }, peers = { 'adam', 'adam_foreach' } },
  { name = 'AdamW', floats = 7, options = { lr = 1e-3 }, peers = { 'adamw', 'adamw_foreach' } },
  { name = 'SGD', label = 'SGD with momentum', floats = 5, options = { lr = 1e-3, momentum = 0.9 },
    peers = { 'sgd', 'sgd_foreach' } },
}

local function updates(name, options)
  local optim, torch = require 'optim', require 'torch'
  local parameters = {}
  for i = 1, TENSORS do
    parameters[i] = torch.randn { 500, PARAMETERS / TENSORS / 500, requires_grad = true }
    parameters[i].grad = torch.randn { 500, PARAMETERS / TENSORS / 500 }
  end
  local optimizer = optim[name](parameters, options)
  return function(steps)
    local times = {}
    for i = 1, harness.WARMUP + steps do
      local seconds = harness.seconds(function() optimizer:step() end)
      if i > harness.WARMUP then times[#times + 1] = seconds * 1e3 end
    end
    return times
  end
end

function workload.run(context)
  local cases = {}
  for i, case in ipairs(CASES) do
    cases[i] = { name = case.label or case.name, run = updates(case.name, case.options),
      bytes = 4 * case.floats * PARAMETERS, peers = case.peers }
  end
  return { rows = harness.interleave(context, cases), bars = {} }
end

return workload
