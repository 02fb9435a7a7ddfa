-- tscore_schedule: is the mean T-Score of every 4th, 16th or 64th update that of all of them?
local sweep = require 'sweep'

return sweep {
  script = '../shakespeare_30ep.lua',
  params = { 'data.chars=450000', 'data.batch=16', 'model.embed=64', 'model.hidden=128', 'model.layers=1',
    'optim.lr=0.002', 'train.epochs=1', 'tscore.every=1,4,16,64' },
  seeds = 3,
  metric = 'tscore',
}
