local arms = require 'arms'
local findings = require 'compare.findings'
local t = require 'testing'
local torch = require 'torch'

local function result()
  local noise = { 0.01, -0.02, 0.015, -0.005, 0.002 }
  return arms.run { seeds = { 1, 2, 3, 4, 5 }, baseline = 'base', arms = {
    { 'base', function(seed) return { loss = 1 + seed / 10 } end },
    { 'better', function(seed) return { loss = 0.8 + seed / 10 + noise[seed] } end },
    { 'same', function(seed) return { loss = 1 + seed / 10 } end },
    { 'noise', function(seed) return { loss = 1 + seed / 10 + noise[seed] } end },
    { 'half', function(seed) return { loss = seed > 3 and 2 or nil } end },
  } }
end

t.test('arms are compared with the baseline by seed, with what may be said of each', function()
  local found = {}
  for _, d in ipairs(arms.differences(result(), 'loss')) do found[d.name] = d end
  t.equal(found.better.verdict, 'lower')
  t.near(found.better.mean, -0.1996, 1e-9)
  t.equal(found.same.verdict, 'equal to 12 digits in every common seed: no claim')
  t.contains(found.noise.verdict, 'effect smaller than noise')
  t.equal(found.half.verdict, 'n = 2: no claim')
end)

t.test('the finding is one sentence', function()
  t.equal(arms.finding(result(), 'loss', 'val loss'), "Found for val loss, against 'base' over 5 seeds: "
    .. "lower for 'better'; no difference can be claimed for 'same', 'noise', 'half'.")
end)

t.test('the table has a row for each arm and an interval for each metric', function()
  local lines = arms.lines(result(), { { 'loss', 'val loss' }, { 'other', 'other' } })
  t.equal(#lines, 6)
  t.matches(lines[1], '^arm%s+val loss%s+other$')
  t.matches(lines[2], '^base%s+1%.3000 %+%- 0%.1963 %(5%)%s+%-$')
end)

t.test('whole numbers are written as whole numbers, their means with one decimal', function()
  local counted = arms.run { seeds = { 1, 2 }, arms = { { 'a', function() return { nodes = 447745 } end },
    { 'b', function(seed) return { nodes = seed } end } } }
  local lines = arms.lines(counted, { { 'nodes', 'nodes' } })
  t.matches(lines[2], '^a%s+447745 %(2%)$')
  t.matches(lines[3], '^b%s+1%.5 %+%- %d+%.%d %(2%)$')
end)

t.test('of an arm without values nothing is found', function()
  local missing = arms.run { seeds = { 1, 2 }, arms = { { 'a', function(seed) return { loss = seed } end },
    { 'b', function() return {} end } } }
  t.equal(arms.finding(missing, 'loss', 'val loss'),
    "Found for val loss, against 'a' over 2 seeds: no values to compare for 'b'.")
end)

t.test('each cell begins with its seed', function()
  local drawn = {}
  arms.run { seeds = { 7, 8 }, arms = { { 'a', function() drawn[#drawn + 1] = torch.randn({ 1 }):item() return {} end },
    { 'b', function() drawn[#drawn + 1] = torch.randn({ 1 }):item() return {} end } } }
  t.equal(drawn[1], drawn[2])
  t.equal(drawn[3], drawn[4])
  t.is_true(drawn[1] ~= drawn[3])
end)

t.test('an arm without a table of numbers, and an unknown baseline, are named', function()
  t.contains(select(2, pcall(arms.run, { seeds = { 1 }, arms = { { 'a', function() return 3 end } } })),
    "arm 'a' must return a table")
  t.contains(select(2, pcall(arms.run, { seeds = {}, arms = {} })), 'at least one seed and one arm')
  local r = result()
  r.baseline = 'none'
  t.contains(select(2, pcall(arms.differences, r, 'loss')), "there is no arm 'none'")
end)

t.test('a sign is claimed where the whole interval is on one side of 0', function()
  local function said(n, mean, half) return findings.sign({ n = n, mean = mean, half = half }, 'more', 'less') end
  t.equal(said(3, 0.5, 0.2), 'more')
  t.equal(said(3, -0.5, 0.2), 'less')
  t.equal(said(3, 0.1, 0.2), 'no claim: the interval contains 0')
  t.equal(said(2, 0.5, 0.1), 'no claim: n = 2')
  t.equal(said(3, 1, nil), 'no claim: the values do not vary')
end)

t.test('cells can be looked at from another baseline, and fewer of them', function()
  local view = arms.against(result(), 'better', { 'better', 'base' })
  t.equal(arms.finding(view, 'loss', 'val loss'),
    "Found for val loss, against 'better' over 5 seeds: higher for 'base'.")
  local ok, message = pcall(arms.against, result(), 'bettr')
  t.equal(ok, false)
  t.contains(tostring(message), "there is no arm 'bettr'")
end)

t.test('one arm is told without a comparison', function()
  local one = arms.run { seeds = { 1, 2 }, arms = { { 'a', function(seed) return { loss = seed } end } } }
  t.matches(arms.finding(one, 'loss', 'val loss'), '^Found: a ends at 1%.5 .* val loss; nothing to compare it with%.$')
end)

t.test('a seed that is given twice, and a baseline that is not an arm, are refused before any training', function()
  local function never() error 'trained' end
  local ok, message = pcall(arms.run, { seeds = { 1, 1 }, arms = { { 'a', never } } })
  t.equal(ok, false)
  t.contains(tostring(message), 'seed 1 is given twice')
  ok, message = pcall(arms.run, { seeds = { 1 }, arms = { { 'a', never } }, baseline = 'b' })
  t.equal(ok, false)
  t.contains(tostring(message), "there is no arm 'b'")
end)

t.test('repetitions are called what they are', function()
  local rounds = arms.run { seeds = { 1, 2, 3 }, unit = 'round', arms = { { 'a', function(i) return { rate = i } end },
    { 'b', function(i) return { rate = i + i % 2 } end } } }
  t.contains(arms.finding(rounds, 'rate', 'steps/s'), 'over 3 rounds')
  t.contains(arms.differences(rounds, 'rate')[1].verdict, 'these rounds could have shown')
end)
