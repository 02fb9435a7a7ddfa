-- What a continual training kept and could still learn (guard G40).
local fail = require 'fail'
local plasticity = require 'research.plasticity'
local t = require 'testing'

-- After each of three domains, the losses on all of them.
local R = { { 1.0, 3.0, 4.0 }, { 1.5, 1.2, 3.5 }, { 2.0, 1.0, 1.6 } }

t.test('guard G40: the measures of a matrix of known values, by hand', function()
  local m = plasticity.measures(R)
  t.near(m.final_mean, (2.0 + 1.0 + 1.6) / 3, 1e-12)
  t.near(m.new_task, (1.0 + 1.2 + 1.6) / 3, 1e-12)
  t.near(m.forgetting, ((2.0 - 1.0) + (1.0 - 1.2)) / 2, 1e-12)
  t.near(m.backward_transfer, ((1.0 - 2.0) + (1.2 - 1.0)) / 2, 1e-12)
  t.fields(m, { n = 3, names = { '1', '2', '3' } })
end)

t.test('guard G40: a missing entry fails and names i and j', function()
  local function without(i, j, value)
    local copy = {}
    for k, row in ipairs(R) do copy[k] = { unpack(row) } end
    copy[i][j] = value
    return copy
  end
  local err = t.error_matches(function() plasticity.measures(without(2, 1), { 'prose', 'code', 'verse' }) end,
    "G40 plasticity: R%[2%]%[1%] is missing: the loss on domain 1 'prose' after training domain 2 'code'")
  t.equal(fail.code_of(err), 1)
  t.error_matches(function() plasticity.measures(without(3, 3)) end, 'R%[3%]%[3%] is missing')
  t.error_matches(function() plasticity.measures(without(1, 2, 0 / 0)) end, 'R%[1%]%[2%] is missing')
  t.error_matches(function() plasticity.measures({ R[1], R[2] }) end, 'R%[3%]%[1%] is missing')
  t.error_matches(function() plasticity.measures {} end, 'the matrix has no domain')
end)

t.test('one domain has nothing to forget: no number, no 0', function()
  local m = plasticity.measures { { 1.25 } }
  t.fields(m, { final_mean = 1.25, new_task = 1.25 })
  t.equal(m.forgetting, nil)
  t.equal(m.backward_transfer, nil)
end)

t.test('the whole matrix and all measures are shown together', function()
  t.equal(plasticity.lines({ { 1, 3 }, { 1.5, 1.25 } }, { 'prose', 'code' }), {
    'loss on each domain (columns) after training each domain (rows)',
    '   after     prose      code',
    '   prose    1.0000    3.0000',
    '    code    1.5000    1.2500',
    'final mean 1.3750  new-task loss 1.1250  forgetting from the best 0.5000  backward transfer -0.5000',
  })
end)
