-- data.image_tasks: continual tasks of small pictures that are made here, or of pictures in MNIST's format.
local arrays = require 'sources.arrays'
local fail = require 'fail'
local native = require 'lanthorn'
local options = require 'options'
local tasks = require 'data.tasks'
local torch = require 'torch'

local data = {}

local SPEC = { kind = { 'string', 'permuted', one_of = { 'permuted', 'split' } }, tasks = { 'int', 5, min = 1 },
  images = 'string?', labels = 'string?', test_images = 'string?', test_labels = 'string?',
  train = { 'int', 6000, min = 10 }, test = { 'int', 1000, min = 10 }, batch = { 'int', 64, min = 1 },
  passes = { 'int', 1, min = 1 }, interleaved = { 'boolean', false }, phases = 'list?', seed = 'int?' }

local SIDE, CLASSES, BLOBS, SHIFT, NOISE = 28, 10, 5, 2, 0.3

-- Ten pictures of five soft spots each: (classes, side, side), with a border that shifting needs.
local function prototypes(generator)
  local wide = SIDE + 2 * SHIFT
  local axis = torch.arange(wide):to 'float32'
  local made = {}
  for class = 1, CLASSES do
    local picture = torch.zeros { wide, wide }
    for _ = 1, BLOBS do
      local at = torch.rand({ 3 }, { generator = generator })
      local x, y = 4 + at[0]:item() * (wide - 8), 4 + at[1]:item() * (wide - 8)
      local size = 2 + 3 * at[2]:item()
      local dx, dy = (axis - x):pow(2):div(2 * size ^ 2), (axis - y):pow(2):div(2 * size ^ 2)
      picture = picture + torch.exp(-(dy:unsqueeze(1) + dx:unsqueeze(0)))
    end
    made[class] = picture / picture:max():item()
  end
  return torch.stack(made)
end

-- Rows of shifted prototypes with noise: x (N, 784), y (N).
local function samples(pictures, rows, generator)
  local labels = torch.arange(rows):remainder(CLASSES):to 'int64'
  local shifts = torch.randint(2 * SHIFT + 1, { rows, 2 }, { generator = generator })
  local x = torch.empty { rows, SIDE, SIDE }
  -- All rows of one shift and class are one copy.
  for dy = 0, 2 * SHIFT do
    for dx = 0, 2 * SHIFT do
      local cut = pictures:narrow(1, dy, SIDE):narrow(2, dx, SIDE)
      local here = shifts:select(1, 0):eq(dy):logical_and(shifts:select(1, 1):eq(dx)):nonzero():flatten()
      if here:numel() > 0 then
        x:index_copy_(0, here, cut:index_select(0, labels:index_select(0, here)))
      end
    end
  end
  x = x + NOISE * torch.randn({ rows, SIDE, SIDE }, { generator = generator })
  return x:reshape { rows, SIDE * SIDE }, labels
end

local function from_files(o)
  for _, key in ipairs { 'images', 'labels', 'test_images', 'test_labels' } do
    if not o[key] then
      fail.config("data.image_tasks: '%s' is missing; pictures of your own need images, labels, test_images and "
        .. 'test_labels', key)
    end
  end
  local function read(path) return native.data.read_idx(path) end
  local sets = arrays.sets('idx', { x = o.images, y = o.labels, test_x = o.test_images, test_y = o.test_labels }, read)
  local function flat(x) return x:to('float32'):reshape { x.shape[1], -1 } / 255 end
  local function labels(y) return y:to 'int64' end
  return { x = flat(sets.all and sets.all.x or sets.train.x), y = labels(sets.all and sets.all.y or sets.train.y),
    val_x = flat(sets.test.x), val_y = labels(sets.test.y) }
end

local function made_here(o, seed)
  local generator = torch.Generator()
  generator:manual_seed(seed)
  local pictures = prototypes(generator)
  local x, y = samples(pictures, o.train, generator)
  local val_x, val_y = samples(pictures, o.test, generator)
  return { x = x, y = y, val_x = val_x, val_y = val_y }
end

-- Each task has its own order of the pixels; the first has that of the pictures.
local function permuted(all, o, seed)
  local made = {}
  for t = 1, o.tasks do
    local task = { name = 'permuted_' .. t, x = all.x, y = all.y, val_x = all.val_x, val_y = all.val_y }
    if t > 1 then
      local generator = torch.Generator()
      generator:manual_seed(seed * 1009 + t)
      local order = torch.randperm(all.x.shape[2], { generator = generator })
      task.x, task.val_x = all.x:index_select(1, order), all.val_x:index_select(1, order)
    end
    made[t] = task
  end
  return made
end

-- Each task has two classes of its own.
local function split(all, o, classes)
  local made = {}
  if 2 * o.tasks > classes then
    fail.config('data.image_tasks: %d tasks of two classes need %d classes, there are %d', o.tasks, 2 * o.tasks,
      classes)
  end
  local function rows_of(labels, t)
    return labels:ge(2 * t - 2):logical_and(labels:lt(2 * t)):nonzero():flatten()
  end
  for t = 1, o.tasks do
    local rows, val_rows = rows_of(all.y, t), rows_of(all.val_y, t)
    made[t] = { name = ('classes_%d_%d'):format(2 * t - 2, 2 * t - 1), x = all.x:index_select(0, rows),
      y = all.y:index_select(0, rows), val_x = all.val_x:index_select(0, val_rows),
      val_y = all.val_y:index_select(0, val_rows) }
  end
  return made
end

---Continual tasks of 28 x 28 pictures as rows of 784: `permuted` (every task has an order of the pixels of its own, the
---first none) or `split` (two classes each). Without files ten classes are made here: each the sum of five soft spots,
---shifted by up to two pixels, with noise; `train` and `test` are their rows. With files in MNIST's format these.
---@param given { kind: string?, tasks: integer?, images: string?, labels: string?, test_images: string?,
---test_labels: string?, train: integer?, test: integer?, batch: integer?, passes: integer?, interleaved: boolean?,
---phases: integer[]?, seed: integer? }
---@return TaskData
function data.image_tasks(given, config)
  local o = options.check('data.image_tasks', given, SPEC)
  local seed = o.seed or config.seed
  local given_files = o.images or o.labels or o.test_images or o.test_labels
  local all = given_files and from_files(o) or made_here(o, seed)
  local classes = all.y:max():item() + 1
  local list = o.kind == 'split' and split(all, o, classes) or permuted(all, o, seed)
  return tasks({ tasks = list, batch = o.batch, passes = o.passes, interleaved = o.interleaved, phases = o.phases,
    vocab_size = classes, seed = seed }, config)
end

return data.image_tasks
