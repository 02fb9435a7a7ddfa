-- What `runner init` writes: the files of a project of one's own, by their names.
local project_files = {}

local EXPERIMENT = [[
-- first: which side of a curve does a point lie on? Change it, or copy it under another name.
local data, experiment, nn = require 'data', require 'experiment', require 'nn'
local torch, train = require 'torch', require 'train'

-- Every value here can be set from outside: runner first.lua model.hidden=32 train.epochs=30
local cfg = experiment.config {
  rows = { train = 800, val = 200 },
  model = { hidden = 16 },
  data = { batch = 32 },
  optim = { name = 'adam', lr = 1e-2 },
  train = { epochs = 10, seed = 1 },
}

-- Replace this by data of your own: data.csv, data.npy, data.images, data.text and others read files.
local function make(rows)
  local x = torch.rand { rows, 2 } * 2 - 1
  return x, (x[{ {}, 1 }] - (x[{ {}, 0 }] * 3):sin() * 0.5):gt(0):long()
end

local x, y = make(cfg.rows.train)
local val_x, val_y = make(cfg.rows.val)
local hidden = cfg.model.hidden
local net = nn.Sequential { nn.Linear { 2, hidden }, nn.Tanh(), nn.Linear { hidden, 2 } }

local fit = train.fit {
  model = net, optim = cfg.optim, options = cfg.train, eval = { metrics = { 'accuracy' } },
  data = data.tensors { x = x, y = y, val_x = val_x, val_y = val_y, batch = cfg.data.batch, shuffle = true },
}
print(('accuracy %.1f %% at epoch %d'):format(100 * fit.best.metrics.accuracy, fit.best.epoch))
]]

local README = [[
# %s

```
runner first.lua                                    # train; the run is in results/first/
runner first.lua model.hidden=32 optim.lr=3e-3      # the same with other values
runner show latest                                  # what became of it
runner sweep first.lua optim.lr=0.1,0.01 seeds=3    # several values and seeds, side by side
runner                                              # a prompt; ? lists what it can do
```

An experiment is a Lua file; its name, in lower case letters, digits, `_` and `-`, is the name of its runs. `results/`
holds them and is not in git. `types/lanthorn.lua` lets an editor with a Lua language server complete and check; after
an update of the runner renew it:

```
runner api --stubs > types/lanthorn.lua
```
]]

local LUARC = [[
{
  "runtime.version": "LuaJIT",
  "workspace.library": ["types"],
  "diagnostics.globals": ["arg"]
}
]]

---The files of a project.
---@param name string what its README calls it
---@param stubs string LuaCATS stubs of the runner
---@return table<string, string> contents by path
function project_files.of(name, stubs)
  return { ['first.lua'] = EXPERIMENT, ['README.md'] = README:format(name), ['.luarc.json'] = LUARC,
    ['.gitignore'] = 'results/\n', ['types/lanthorn.lua'] = stubs }
end

return project_files
