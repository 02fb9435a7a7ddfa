-- csv: classes from a table. The file is made here unless csv.file names one of yours.
local experiment, data, files, train = require 'experiment', require 'data', require 'files', require 'train'
local nn, torch = require 'nn', require 'torch'

local cfg = experiment.config {
  csv = { file = experiment.optional 'string', target = 'species' },
  model = { hidden = 16 },
  data = { batch = 16 },
  optim = { name = 'adam', lr = 1e-2 },
  train = { epochs = 30, seed = 1 },
}

-- Three species that differ in their measures; one island has two of them.
local function make(path)
  local species = { { 'pine', 12, 3, 40 }, { 'oak', 9, 6, 55 }, { 'birch', 15, 5, 30 } }
  local lines = { 'id,height,width,age,island,species' }
  local noise = torch.randn { 300, 3 }
  for i = 1, 300 do
    local s, n = species[i % 3 + 1], noise[i - 1]
    lines[#lines + 1] = ('%d,%.2f,%.2f,%.1f,%s,%s'):format(i, s[2] + 1.5 * n[0]:item(), s[3] + n[1]:item(),
      s[4] + 8 * n[2]:item(), i % 3 == 0 and 'north' or 'south', s[1])
  end
  files.write(path, table.concat(lines, '\n') .. '\n')
end

local path = cfg.csv.file
if not path then
  path = os.tmpname()
  make(path)
end
local ignore = not cfg.csv.file and { 'id' } or {}
local set = data.csv { file = path, target = cfg.csv.target, ignore = ignore, batch = cfg.data.batch }
if not cfg.csv.file then os.remove(path) end
local net = nn.Sequential {
  nn.Linear { #set.columns, cfg.model.hidden }, nn.ReLU(), nn.Linear { cfg.model.hidden, #set.classes } }

train.fit {
  model = net, data = set, optim = cfg.optim, options = cfg.train,
  loss = function(model, x, y) return torch.cross_entropy_loss(model(x), y) end,
}
local test = set.splits.test
local right = torch.no_grad(function() return net(test.x):argmax(1):eq(test.y):sum():item() end)
print(('test: %d of %d right'):format(right, test.y.shape[1]))
