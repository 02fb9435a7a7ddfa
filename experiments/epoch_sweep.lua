-- epoch_sweep: what do more epochs over one text give a tree with path updates, and the same tree trained densely?
local sweep = require 'sweep'

return sweep {
  script = 'k1_tree.lua',
  params = {
    'select.rule=path,all', 'train.epochs=1,2,4,8',
    'domains.texts=[{corpus=tinyshakespeare,bytes=60000}]', 'domains.order=epoch', 'domains.drop_last=true',
    '~domains.batches', 'train.seed=1',
  },
  seeds = 3,
}
