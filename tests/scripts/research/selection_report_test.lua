local report = require 'research.selection_report'
local t = require 'testing'

t.test('Gini of equal counts is 0, of one that has all (n - 1) / n, of 1 2 3 two ninths', function()
  t.near(report.gini { 5, 5, 5 }, 0, 1e-12)
  t.near(report.gini { 0, 0, 0, 8 }, 3 / 4, 1e-12)
  t.near(report.gini { 3, 1, 2 }, 2 / 9, 1e-12)
  t.equal(report.gini { 0, 0 }, nil)
end)

t.test('entropy is 1 for equal counts, 0 for one that has all, and not there for one count', function()
  t.near(report.entropy { 4, 4, 4 }, 1, 1e-12)
  t.near(report.entropy { 9, 0 }, 0, 1e-12)
  t.equal(report.entropy { 3 }, nil)
  t.equal(report.entropy { 0, 0 }, nil)
end)

-- Three nodes of 10, 20 and 30 parameters in a model of 100, four updates.
local function tree(shared)
  return { steps = 4, shared = shared, nodes = { { level = 0, parameters = 10, count = 4, effective = 0.6 },
    { level = 1, leaf = true, parameters = 20, count = 3, effective = 3 },
    { level = 1, leaf = true, parameters = 30, count = 0, effective = 0 } } }
end

t.test('shares are over all parameters, shared ones included', function()
  local touched, effective = report.shares(tree(1), 100)
  t.near(touched, (10 + 0.75 * 20 + 40) / 100, 1e-12)
  t.near(effective, (0.15 * 10 + 0.75 * 20 + 40) / 100, 1e-12)
  local entries = tree(1)
  entries.entry_share = 0.1
  touched, effective = report.shares(entries, 100)
  t.near(touched, (1 + 0.75 * 2 + 40) / 100, 1e-12)
  t.near(effective, (0.15 * 1 + 0.75 * 2 + 40) / 100, 1e-12)
  touched, effective = report.shares(tree(0), 100)
  t.near(touched, 0.25, 1e-12)
  t.near(effective, 0.165, 1e-12)
end)

t.test('where gradients are masked nothing is said of what was touched, or of what never moved', function()
  local masked = tree(1)
  masked.apply = 'gradient'
  local touched, effective = report.shares(masked, 100)
  t.equal(touched, nil)
  t.near(effective, (0.15 * 10 + 0.75 * 20 + 40) / 100, 1e-12)
  t.equal(report.balance(masked).dead, nil)
end)

t.test('balance leaves the root out, which every path has', function()
  local balance = report.balance(tree(1))
  t.equal(balance.dead, 1)
  t.near(balance.leaf_gini, 1 / 2, 1e-12)
  t.near(balance.gini, balance.leaf_gini, 1e-12)
  t.near(balance.levels[1].entropy, 0, 1e-12)
end)

t.test('information of domain and leaf is ln 2 less its bias where each has its own, below 0 without', function()
  t.near(report.mutual_information { { 50, 0 }, { 0, 50 } }, math.log(2) - 1 / 200, 1e-12)
  t.near(report.mutual_information { { 25, 25 }, { 25, 25 } }, -1 / 200, 1e-12)
  -- With a text that no phase trains on.
  t.near(report.mutual_information { { 50, 0 }, { 0, 50 }, { 0, 0 } }, math.log(2) - 1 / 200, 1e-12)
  t.equal(report.mutual_information { { 0, 0 } }, nil)
end)

-- Blocks of updates: domain 1 then 2, `shares` the share of leaf 1 in each block.
local function blocks(n, share)
  local made = {}
  for i = 1, n do
    local first = math.floor(100 * share(i) + 0.5)
    made[i] = { domain = i <= n / 2 and 1 or 2, counts = { first, 100 - first } }
  end
  return made
end

local function seeded()
  local state = 12345
  return function()
    state = (state * 16807) % 2147483647
    return state / 2147483647
  end
end

t.test('a leaf that is selected for one domain alone is a specialist', function()
  local rows = report.specialists(blocks(20, function(i) return i <= 10 and 1 or 0 end), 2, { random = seeded() })
  t.fields(rows[1], { domain = 1, specialist = true })
  t.fields(rows[2], { domain = 2, specialist = true })
  t.near(rows[1].share, 1, 1e-12)
  t.is_true(rows[1].p < 0.01)
end)

t.test('chance alone gives the largest of three domains these shares', function()
  local shares = { [1] = 1, [3] = 0.63, [5] = 0.56, [10] = 0.49, [20] = 0.44, [50] = 0.40, [100] = 0.38, [300] = 0.36 }
  for n, share in pairs(shares) do
    t.near(report.chance_share(3, n), share, 0.0051, n)
  end
  t.near(report.chance_share(2, 2), 0.75, 1e-12)
  t.equal(report.chance_share(1, 7), 1)
end)

-- A report after one update that selected these nodes at these shares.
local function updated(levels, node_parameters, selected)
  local made = { steps = 1, shared = 1, nodes = {} }
  for level, size in ipairs(levels) do
    for i = 1, size do
      local share = i == 1 and selected[level] or 0
      made.nodes[#made.nodes + 1] = { level = level - 1, leaf = level == #levels, parameters = node_parameters,
        count = share > 0 and 1 or 0, effective = share }
    end
  end
  return made
end

t.test('the shares that a path touches and moves of the published models', function()
  for _, case in ipairs { { { 1, 3, 9 }, { 0.05, 0.15, 1 }, 4300688, 69.2, 63.7 },
    { { 1, 4, 12, 24 }, { 0.05, 0.05, 0.15, 1 }, 8010128, 38.8, 34.3 },
    { { 1, 3, 9 }, { 0.05, 0.15, 1 }, 1747393, 24.2, 10.5 } } do
    local touched, effective = report.shares(updated(case[1], 132480, case[2]), case[3])
    t.near(100 * touched, case[4], 0.051)
    t.near(100 * effective, case[5], 0.051)
  end
  local top = updated({ 1, 3, 9 }, 132480, { 1, 1, 1 })
  top.nodes[3].count, top.nodes[4].count = 1, 1
  t.near(100 * report.shares(top, 4300688), 75.4, 0.051)
end)

t.test('a leaf that is selected alike for both, or rarely, is not a specialist', function()
  local random = seeded()
  local rows = report.specialists(blocks(20, function() return 0.4 + 0.2 * random() end), 2, { random = random })
  t.equal(rows[1].specialist, false)
  t.equal(rows[2].specialist, false)
  local apart = { { domain = 1, counts = { 10, 0 } }, { domain = 2, counts = { 0, 10 } } }
  rows = report.specialists(apart, 2, { random = random })
  t.equal(rows[1].specialist, false)
  t.equal(report.specialists({}, 2), {})
end)
