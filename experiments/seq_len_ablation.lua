-- seq_len_ablation: how much does a longer context help a tree with path updates, at equal tokens an update?
local sweep = require 'sweep'

local TOKENS = 1024 -- of an update

local lengths, batches = { 16, 32, 64, 128 }, {}
for i, length in ipairs(lengths) do batches[i] = TOKENS / length end

return sweep {
  script = 'k1_tree.lua',
  params = {
    sweep.zip { ['domains.seq'] = lengths, ['domains.batch'] = batches },
    'domains.batches=1000', 'train.epochs=1', 'train.seed=1',
  },
  seeds = 3,
}
