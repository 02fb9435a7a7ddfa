-- The T-Score contract of every layer that has parameters, by the example that is registered with it: the samples'
-- norms from one backward are those of N backward passes. A new layer has its case with that;
-- tests/engine/tscore/contract_test.cc draws shapes and options of those that are there.
local native = require 'lanthorn'
local nn = require 'nn'
local t = require 'testing'
local torch = require 'torch'
local tscore = require 'tscore'

-- Dimension 0 of the input is not the sample: contract_test.cc has their cases.
local OTHERWISE = { EmbeddingBag = 'bags are told by offsets' }

-- They hold layers, and have no parameters of their own.
local HOLDERS = { Sequential = true, Residual = true, Container = true }

local function layer_rows()
  local rows = {}
  for _, row in ipairs(native.api()) do
    local makes_layer = row.module == 'nn' and row.name:find '^%u%w*$' and row.signature:find '%-> Module$'
    if makes_layer and not HOLDERS[row.name] then rows[#rows + 1] = row end
  end
  return rows
end

-- The layer of an example such as "nn.Linear{4, 2}(torch.randn{3, 4})", and what it is called with.
local function parts_of(example)
  local layer, inputs
  local catching = setmetatable({}, { __index = function(_, name)
    return function(...)
      local made = nn[name](...)
      return setmetatable({}, { __call = function(_, ...)
        layer, inputs = made, { ... }
        return made(...)
      end })
    end
  end })
  local environment = { nn = catching, torch = torch, require = require }
  setfenv(assert(loadstring('return ' .. example)), environment)()
  return layer, inputs
end

-- A loss with a direction of its own for each sample, over all that the layer returns but its state.
local function loss_over(layer, inputs)
  local direction = torch.randn(layer(unpack(inputs)).shape)
  return function(first, count)
    local cut = {}
    for i, input in ipairs(inputs) do cut[i] = input:narrow(0, first, count) end
    local output = layer(unpack(cut))
    return (output * direction:narrow(0, first, count)):sum() + output:square():sum() * 0.5
  end
end

local function expect_contract(name, example)
  torch.manual_seed(3)
  local layer, inputs = parts_of(example)
  t.is_true(layer ~= nil, name .. ': its example does not call it')
  if #layer:parameters() == 0 then return false end
  if name:find '^BatchNorm' then layer:eval() end -- in training mode samples depend on one another
  layer:to 'float64'
  for i, input in ipairs(inputs) do
    if input.dtype == 'float32' then inputs[i] = input:to 'float64' end
  end
  local count, loss = inputs[1]:size(0), loss_over(layer, inputs)
  t.is_true(count > 1, name .. ': the norm of an only sample is that of the whole gradient')
  local exact = tscore.measure(layer, function() return loss(0, count) end, { reduction = 'sum' })
  local loop = tscore.loop(layer, count, function(i) return loss(i, 1) end)
  t.equal(exact.method, 'exact', name)
  t.equal(#exact.sample_sq, count, name)
  for i, square in ipairs(loop.sample_sq) do
    t.near(exact.sample_sq[i], square, 1e-9 * math.max(square, 1e-6), ('%s: sample %d'):format(name, i))
  end
  return true
end

t.test("every layer's example keeps the T-Score contract", function()
  local tried = 0
  for _, row in ipairs(layer_rows()) do
    t.is_true(row.example ~= '', row.name .. ' has an example')
    if not OTHERWISE[row.name] and expect_contract(row.name, row.example) then tried = tried + 1 end
  end
  t.is_true(tried >= 15, tried .. ' layers with parameters')
end)
