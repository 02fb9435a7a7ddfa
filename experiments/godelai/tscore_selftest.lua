-- tscore_selftest: facts of T-Score that need no training: known values, scaling, layers against N backwards.
local nn, torch, tscore, models = require 'nn', require 'torch', require 'tscore', require 'models'

local failed = 0
local function check(what, found, expected, tolerance)
  local ok = found == expected or (found ~= nil and expected ~= nil and math.abs(found - expected) <= tolerance)
  failed = failed + (ok and 0 or 1)
  print(('%-4s  %-58s %s'):format(ok and 'ok' or 'FAIL', what, found == nil and 'undefined' or ('%.6f'):format(found)))
end
local function T(rows) return tscore.of_rows(torch.tensor(rows)).t end

print('-- known values')
local row = torch.randn { 1, 1000 }
check('32 identical rows: 0', tscore.of_rows(row:expand { 32, 1000 }).t, 0, 1e-6)
check('16 pairs g, -g: 1', tscore.of_rows(torch.cat { row:expand { 16, 1000 }, -row:expand { 16, 1000 } }).t, 1, 1e-6)
check('8 orthonormal rows: 1 - 1/8', tscore.of_rows(torch.eye(8)).t, 1 - 1 / 8, 1e-12)
check('the same, corrected for N: 1', tscore.of_rows(torch.eye(8)).t_corrected, 1, 1e-12)
check('{(1,0),(1,1)}: 1/6', T { { 1, 0 }, { 1, 1 } }, 1 / 6, 1e-12)
check('{(1,0),(0,1),(1,1)}: 1/3', T { { 1, 0 }, { 0, 1 }, { 1, 1 } }, 1 / 3, 1e-12)
check('{(3,0),(0,4)}: 1/2', T { { 3, 0 }, { 0, 4 } }, 1 / 2, 1e-12)
torch.manual_seed(0)
check('32 Gaussian rows of 1000: about 31/32', tscore.of_rows(torch.randn { 32, 1000 }).t, 0.969, 0.005)

print('-- scaling: T(c g) = T(g)')
local g = torch.randn({ 8, 50 }, { dtype = 'float64' })
for _, c in ipairs { 1e-6, 1e-3, 1e3, 1e12 } do
  check(('c = %g'):format(c), tscore.of_rows(g * c).t, tscore.of_rows(g).t, 1e-9)
end

print('-- undefined cases, and the published formula')
check('one sample', tscore.of_rows(torch.randn { 1, 10 }).t, nil)
check('zero gradients', tscore.of_rows(torch.zeros { 4, 10 }).t, nil)
check('not finite', tscore.of_rows(torch.full({ 4, 10 }, 0 / 0)).t, nil)
check('v1.1 turns zero gradients into 1', tscore.of_rows(torch.zeros { 4, 10 }, { compat = 'v1.1' }).t, 1, 0)
for _, case in ipairs { { 1e-2, 2.5e-6 }, { 1e-4, .0244 }, { 1e-6, .9960 } } do
  local rows = torch.full({ 4, 10 }, case[1], { dtype = 'float64' })
  check(('v1.1, identical rows of %g'):format(case[1]), tscore.of_rows(rows, { compat = 'v1.1' }).t, case[2], 1e-4)
end

print('-- sample norms in the backward against N backwards')
for _, cell in ipairs { 'gru', 'lstm' } do
  torch.manual_seed(3)
  local m = models.char_rnn { vocab = 20, cell = cell, embed = 8, hidden = 12, layers = 2 }:to('float64')
  local x, y = torch.randint(20, { 5, 9 }), torch.randint(20, { 5, 9 })
  local function loss(a, b) return torch.cross_entropy((m(a)):reshape(-1, 20), b:reshape(-1)) end
  local exact = tscore.measure(m, function() return loss(x, y) end)
  local loop = tscore.loop(m, 5, function(i) return loss(x[{ { i, i + 1 } }], y[{ { i, i + 1 } }]) end)
  check(cell .. ': T', exact.t, loop.t, 1e-9)
  check(cell .. ': Q, contributions to the mean scale by 1/N^2', exact.q * 25 / loop.q, 1, 1e-9)
end
local norm = nn.Sequential {
  nn.Linear { 6, 5 }, nn.LayerNorm { 5 }, nn.RMSNorm { 5 }, nn.Linear { 5, 1, bias = false } }:to('float64')
local input = torch.randn({ 4, 3, 6 }, { dtype = 'float64' })
local a = tscore.measure(norm, function() return (norm(input):pow(2)):mean() end)
local b = tscore.loop(norm, 4, function(i) return (norm(input[{ { i, i + 1 } }]):pow(2)):mean() end)
check('Linear, LayerNorm, RMSNorm: T', a.t, b.t, 1e-9)

print(failed == 0 and 'all facts hold' or ('%d facts do not hold'):format(failed))
os.exit(failed == 0 and 0 or 1)
