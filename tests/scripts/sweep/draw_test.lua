-- Drawn values: they depend on nothing but the sweep's seed, the axis and the number of the trial.
local draw = require 'sweep.planning.draw'
local host = require 'host'
local t = require 'testing'

local LR = { path = 'optim.lr', draw = 'loguniform', lo = 1e-4, hi = 1e-1 }
local WIDTH = { path = 'model.width', draw = 'int', lo = 1, hi = 4 }
local KIND = { path = 'model.kind', draw = 'choice', choices = { 'gru', 'lstm', '[1,2]' } }

t.test('a trial does not change when axes are added or trials before it are left out', function()
  local alone = draw.trial('random', { LR }, 7, 0)[1]
  t.equal(draw.trial('random', { WIDTH, LR }, 7, 0)[2], alone)
  t.is_true(alone ~= draw.trial('random', { LR }, 8, 0)[1], 'two trials are equal')
  t.is_true(alone ~= draw.trial('random', { LR }, 7, 1)[1], 'two sweep seeds are equal')
end)

t.test('values keep to their range, and all of it is reached', function()
  local seen, lows = {}, 0
  for k = 0, 399 do
    local values = draw.trial('random', { LR, WIDTH, KIND }, k, 3)
    local lr = tonumber(values[1])
    t.is_true(lr >= 1e-4 and lr <= 1e-1, values[1])
    lows = lows + (lr < 10 ^ -2.5 and 1 or 0)
    seen[values[2]], seen[values[3]] = true, true
  end
  for _, value in ipairs { '1', '2', '3', '4', 'gru', 'lstm', '[1,2]' } do t.is_true(seen[value], value) end
  t.is_true(lows > 150 and lows < 250, ('%d of 400 are below the middle of the logarithms'):format(lows))
end)

-- What Joe and Kuo's program prints for their direction numbers new-joe-kuo-6, 10 points in 3 dimensions.
local JOE_KUO = { { 0, 0, 0 }, { 0.5, 0.5, 0.5 }, { 0.75, 0.25, 0.25 }, { 0.25, 0.75, 0.75 }, { 0.375, 0.375, 0.625 },
  { 0.875, 0.875, 0.125 }, { 0.625, 0.125, 0.875 }, { 0.125, 0.625, 0.375 }, { 0.1875, 0.3125, 0.9375 },
  { 0.6875, 0.8125, 0.4375 } }

t.test("Sobol's points are those that Joe and Kuo published", function()
  for i, point in ipairs(JOE_KUO) do t.equal(host.sobol(3, i - 1), point, i) end
end)

t.test('the first 2^k points of an axis fall into 2^k equal parts, one each, shifted or not', function()
  local axes = {}
  for i = 1, 6 do axes[i] = { path = 'a.b' .. i, draw = 'uniform', lo = 0, hi = 32 } end
  for seed = 0, 2 do
    local taken = { {}, {}, {}, {}, {}, {} }
    for k = 0, 31 do
      for i, text in ipairs(draw.trial('sobol', axes, k, seed)) do taken[i][math.floor(tonumber(text))] = true end
    end
    for i = 1, 6 do
      local parts = 0 -- six digits may round a value into the next one
      for _ in pairs(taken[i]) do parts = parts + 1 end
      t.is_true(parts >= 31, ('axis %d meets %d of 32 parts'):format(i, parts))
    end
  end
end)
