-- k1_shape: thirteen blocks as trees of different shapes: is a wide root, a deep tree or one between them the best?
local sweep = require 'sweep'

return sweep {
  script = '../k1_tree.lua',
  params = { 'domains.batches=100', 'train.epochs=2', 'model.branching=[12],[6,1],[4,2],[3,3],[2,5]' },
  seeds = 3,
}
