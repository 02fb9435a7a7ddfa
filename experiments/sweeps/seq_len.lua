-- seq_len: how much does a longer context help a small char GRU, at equal targets an update?
local sweep = require 'sweep'

local TARGETS = 3200 -- of an update

local lengths, batches = { 25, 50, 100, 200 }, {}
for i, length in ipairs(lengths) do batches[i] = TARGETS / length end

return sweep {
  script = '../shakespeare_30ep.lua',
  params = { 'data.chars=700000', 'model.embed=64', 'model.hidden=128', 'model.layers=1', 'optim.lr=0.004',
    'tscore.every=0', 'train.max_steps=190',
    sweep.zip { ['data.seq'] = lengths, ['data.stride'] = lengths, ['data.batch'] = batches } },
  seeds = 3,
}
