-- epochs: how many epochs over a short text pay for a small char GRU before its val loss stops falling?
local sweep = require 'sweep'

return sweep {
  script = '../shakespeare_30ep.lua',
  params = { 'data.chars=64000', 'data.batch=16', 'model.embed=64', 'model.hidden=128', 'model.layers=1',
    'optim.lr=0.004', 'tscore.every=0', 'train.epochs=1,2,4,8,16' },
  seeds = 3,
}
