-- images: classes from pictures, made here unless images.folder names a folder with one sub-folder a class.
local experiment, data, files, train = require 'experiment', require 'data', require 'files', require 'train'
local host, nn, torch = require 'host', require 'nn', require 'torch'

local cfg = experiment.config {
  images = { folder = experiment.optional 'string', size = 16, channels = 1, each = 60 },
  model = { hidden = 32 },
  data = { batch = 16 },
  optim = { name = 'adam', lr = 1e-3 },
  train = { epochs = 10, seed = 1 },
}
local size = cfg.images.size

-- Grey pictures of bars across, bars down, and discs, as PGM files.
local SHAPES = {
  across = function(i, _, at) return math.abs(i - at) < 2 end,
  down = function(_, j, at) return math.abs(j - at) < 2 end,
  disc = function(i, j, at) return (i - at) ^ 2 + (j - at) ^ 2 < 16 end,
}
local function make(folder)
  for name, inside in pairs(SHAPES) do
    host.mkdir(folder .. '/' .. name)
    for n = 1, cfg.images.each do
      local at, pixels = math.random(3, size - 4), {}
      for i = 0, size - 1 do
        for j = 0, size - 1 do
          pixels[#pixels + 1] = string.char(math.floor((inside(i, j, at) and 160 or 40) + 50 * math.random()))
        end
      end
      local path = ('%s/%s/%03d.pgm'):format(folder, name, n)
      files.write(path, ('P5\n%d %d\n255\n%s'):format(size, size, table.concat(pixels)))
    end
  end
end

local folder, made = cfg.images.folder, nil
if not folder then
  folder = os.tmpname()
  os.remove(folder)
  host.mkdir(folder)
  math.randomseed(cfg.train.seed)
  make(folder)
  made = folder
end
local set = data.images {
  folder = folder, size = { size, size }, channels = cfg.images.channels, batch = cfg.data.batch }
if made then os.execute(("rm -r '%s'"):format(made)) end

local net = nn.Sequential {
  nn.Conv2d { cfg.images.channels, 8, 3, padding = 1 }, nn.ReLU(), nn.MaxPool2d { 2 },
  nn.Conv2d { 8, 16, 3, padding = 1 }, nn.ReLU(), nn.AdaptiveAvgPool2d { 4 },
  nn.Flatten(), nn.Linear { 16 * 16, cfg.model.hidden }, nn.ReLU(), nn.Linear { cfg.model.hidden, #set.classes },
}
train.fit {
  model = net, data = set, optim = cfg.optim, options = cfg.train,
  loss = function(model, x, y) return torch.cross_entropy_loss(model(x), y) end,
}
local test = set.splits.test
local right = torch.no_grad(function() return net(test.x):argmax(1):eq(test.y):sum():item() end)
print(('test: %d of %d right'):format(right, test.y.shape[1]))
