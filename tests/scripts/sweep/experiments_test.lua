-- The sweep scripts that come with the runner: each is planned as it stands, and some of its cells run.
local host = require 'host'
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'

local text = runs.write('small.txt', texts.words(40000))
local GRU, TREE = 'data.file=' .. text, ('domains.texts=[%s]'):format(text)

-- Of each: how many cells it has, its text, and what makes it short and small.
local SWEEPS = {
  { 'sweeps/lr', 21, GRU, 'optim.lr=0.001,0.01', 'data.chars=0', 'data.batch=8' },
  { 'sweeps/seq_len', 12, GRU, 'zip(data.seq=25,50;data.stride=25,50;data.batch=8,4)', 'data.chars=0' },
  { 'sweeps/epochs', 15, GRU, 'train.epochs=1,2', 'data.chars=0' },
  { 'sweeps/tscore_schedule', 12, GRU, 'tscore.every=1,4', 'data.chars=0' },
  { 'sweeps/k1_shape', 15, TREE, 'model.branching=[2],[2,2]' },
  { 'epoch_sweep', 24, TREE, 'train.epochs=1,2' },
  { 'seq_len_ablation', 12, TREE, 'zip(domains.seq=16,32;domains.batch=8,4)' },
}

for _, case in ipairs(SWEEPS) do
  local path = ('experiments/%s.lua'):format(case[1])
  t.test(path .. ' is planned as it stands', function()
    local output, code = runs.command('sweep', path, '-n', case[3], unpack(case, 5))
    t.equal(code, 0, output)
    t.contains(output, ('%d cells, 3 seeds each'):format(case[2]))
    t.contains(output, 'a cell, ')
  end)
  t.test(path .. ' tries every cell under --fast-dev-run', function()
    local output, code = runs.command('sweep', path, '--fast-dev-run', '-q', case[3], case[4], unpack(case, 5))
    t.equal(code, 0, output)
    t.contains(output, 'Found nothing: every cell was tried for some batches only')
  end)
end

t.test('every sweep script that comes with the runner is tried here', function()
  local tried = {}
  for _, case in ipairs(SWEEPS) do tried[case[1]] = true end
  for _, name in ipairs(host.listdir 'experiments/sweeps') do
    local script = name:match '^(.*)%.lua$'
    if script then t.is_true(tried['sweeps/' .. script], script) end
  end
end)
