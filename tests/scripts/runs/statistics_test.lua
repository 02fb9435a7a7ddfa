-- Expected values are from printed tables: Student's t at 97.5 % is 12.706 (1 degree of freedom), 4.303 (2),
-- 2.776 (4), 2.045 (29), 1.960 (normal). Intervals are t * sd / sqrt(n), worked out beside each case.
local host = require 'host'
local statistics = require 'statistics'
local t = require 'testing'

t.test("quantiles of Student's t are those of the tables", function()
  for freedom, value in pairs { [1] = 12.7062, [2] = 4.30265, [4] = 2.77645, [29] = 2.04523, [math.huge] = 1.95996 } do
    t.near(host.student_t_quantile(0.975, freedom), value, 1e-4)
    t.near(host.student_t_quantile(0.025, freedom), -value, 1e-4)
    t.near(host.student_t_cdf(value, freedom), 0.975, 1e-5)
  end
  t.equal(host.student_t_quantile(0.5, 3), 0)
  t.equal(host.student_t_cdf(math.huge, 3), 1)
end)

t.test('a probability or a freedom out of range is refused', function()
  t.error_matches(function() host.student_t_quantile(1, 3) end, 'a probability between 0 and 1')
  t.error_matches(function() host.student_t_quantile(0.5, 0) end, 'degrees of freedom must be positive')
  t.error_matches(function() host.student_t_cdf(0 / 0, 3) end, 'got nan')
end)

t.test('an interval of three values has two degrees of freedom', function()
  -- 1.4, 1.5, 1.6: mean 1.5, sd 0.1; 4.30265 * 0.1 / sqrt(3) = 0.248413
  local made = statistics.interval { 1.4, 1.5, 1.6 }
  t.near(made.mean, 1.5, 1e-12)
  t.near(made.sd, 0.1, 1e-12)
  t.near(made.half, 0.248413, 1e-6)
  t.equal(made.n, 3)
end)

t.test('an interval of five values has four degrees of freedom', function()
  -- 1.1 ... 1.5: mean 1.3, sd sqrt(0.1 / 4) = 0.158114; 2.77645 * 0.158114 / sqrt(5) = 0.196325
  t.near(statistics.interval({ 1.1, 1.2, 1.3, 1.4, 1.5 }).half, 0.196325, 1e-6)
end)

t.test('what is not defined is nil: no value, one value, values that do not vary', function()
  t.equal(statistics.mean {}, nil)
  t.equal(statistics.sd { 1 }, nil)
  t.equal(statistics.interval {}, { n = 0 })
  t.equal(statistics.interval { 2.5 }, { n = 1, mean = 2.5 })
  t.equal(statistics.interval({ 2, 2, 2 }).half, nil)
  t.equal(statistics.interval({ 1.65 - 1.1, 1.75 - 1.2, 1.85 - 1.3 }).half, nil) -- 0.55 but for rounding
  t.equal(statistics.paired({ 2, 2, 2 }).p, nil)
  t.equal(statistics.wilson(0, 0), nil)
end)

t.test('the p value of paired differences agrees with their interval', function()
  -- t = mean / (sd / sqrt(n)): 0.1, 0.2, 0.3 has mean 0.2, sd 0.1, t = 3.4641; with 2 degrees of freedom the tables
  -- put 90 % at 2.920 and 95 % at 4.303; exactly p = 1 - t / sqrt(t^2 + 2) = 0.074180
  t.near(statistics.paired({ 0.1, 0.2, 0.3 }).p, 0.0741799, 1e-6)
  local half = statistics.interval({ 0.1, 0.2, 0.3 }).half
  t.near(statistics.paired({ 0.1 - 0.2 + half, 0.2 - 0.2 + half, 0.3 - 0.2 + half }).p, 0.05, 1e-9)
  t.near(statistics.paired({ -0.1, -0.2, -0.3 }).p, 0.0741799, 1e-6)
end)

t.test("Holm's correction multiplies by the number of comparisons still open and never falls", function()
  -- sorted 0.01 * 4, 0.02 * 3, 0.03 * 2 (0.06 before it stays), 0.5 * 1
  local adjusted = statistics.holm { 0.03, 0.01, 0.5, 0.02 }
  for i, expected in ipairs { 0.06, 0.04, 0.5, 0.06 } do t.near(adjusted[i], expected, 1e-12) end
  t.equal(statistics.holm { 0.9, 0.8 }, { 1, 1 })
  t.equal(statistics.holm {}, {})
end)

t.test("Wilson's interval stays inside 0 and 1 and holds the share", function()
  -- k = 8, n = 10, z = 1.959964: centre (8 + 1.920729) / 13.841459 = 0.716740,
  -- half 1.959964 / 13.841459 * sqrt(1.6 + 0.960365) = 0.226577
  local low, high = statistics.wilson(8, 10)
  t.near(low, 0.490163, 1e-5)
  t.near(high, 0.943317, 1e-5)
  low, high = statistics.wilson(0, 10)
  t.near(low, 0, 1e-12)
  t.near(high, 0.277533, 1e-5) -- z^2 / (n + z^2)
end)

t.test('guard G07: a perplexity above e^50 is not written out', function()
  t.equal({ statistics.perplexity(450) }, { '>e50' })
  t.equal(statistics.perplexity(1.87), '6.49')
  t.near(select(2, statistics.perplexity(1.87)), 6.4883, 1e-4)
  t.equal(statistics.perplexity(0 / 0), 'NA')
end)

t.test('numbers are the same when their first 12 digits are', function()
  t.is_true(statistics.same(1 / 3, 1 / 3 + 1e-14))
  t.is_false(statistics.same(1 / 3, 1 / 3 + 1e-11))
  t.is_true(statistics.same(0 / 0, 0 / 0))
end)
