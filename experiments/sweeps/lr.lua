-- lr: which learning rate takes a small char GRU farthest in 200 updates, and how wide is the range that does as well?
local sweep = require 'sweep'

return sweep {
  script = '../shakespeare_30ep.lua',
  params = { 'data.chars=320000', 'model.embed=64', 'model.hidden=128', 'model.layers=1', 'tscore.every=0',
    'train.max_steps=200', 'optim.lr=logspace(0.0005,0.032,7)' },
  seeds = 3,
}
