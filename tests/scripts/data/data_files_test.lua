-- Data of one's own from files: what becomes of tables, arrays and pictures, and what is refused.
local data = require 'data'
local fail = require 'fail'
local files = require 'files'
local host = require 'host'
local t = require 'testing'

local folder = t.temporary_folder()

local function write(name, text)
  files.write(folder .. '/' .. name, text)
  return folder .. '/' .. name
end

local function refused(code, pattern, f)
  local ok, err = pcall(f)
  t.is_false(ok)
  t.contains(tostring(err), pattern)
  t.equal(fail.code_of(err), code)
end

-- 40 rows: a number, a number that is ten times it, a colour, and a target that is three times the first.
local lines = { 'a,b,colour,y' }
for i = 1, 40 do lines[#lines + 1] = ('%d,%d,%s,%d'):format(i, 10 * i, i % 2 == 0 and 'red' or 'blue', 3 * i) end
local TABLE = write('table.csv', table.concat(lines, '\n') .. '\n')

t.test('a table is split by the seed; its inputs are standardised by the train split alone', function()
  local set = data.csv { file = TABLE, target = 'y', seed = 5 }
  t.equal(set.columns, { 'a', 'b', 'colour=blue', 'colour=red' })
  t.equal(set.splits.train.x.shape[1], 32)
  t.equal(set.splits.val.x.shape[1], 4)
  t.equal(set.splits.test.x.shape[1], 4)
  local train = set.splits.train
  t.near(train.x:mean { 0 }:abs():max():item(), 0, 1e-6)
  t.near(((train.x * train.x):mean { 0 } - 1):abs():max():item(), 0, 1e-5)
  -- Back to what stood in the file: y = 3 a in every split, and no row twice.
  local seen = {}
  for _, split in pairs(set.splits) do
    local a = split.x[{ {}, 0 }] * set.std[0][0] + set.mean[0][0]
    t.near((a * 3 - split.y:view { -1 }):abs():max():item(), 0, 1e-3)
    for _, value in ipairs(split.y:view({ -1 }):tolist()) do
      t.equal(seen[value], nil)
      seen[value] = true
    end
  end
  t.equal(data.csv({ file = TABLE, target = 'y', seed = 5 }).splits.test.y:tolist(), set.splits.test.y:tolist())
  t.is_true(table.concat(data.csv({ file = TABLE, target = 'y', seed = 6 }).splits.test.y:view({ -1 }):tolist(), ' ')
    ~= table.concat(set.splits.test.y:view({ -1 }):tolist(), ' '))
  t.equal(tostring(set.splits.train.y.shape), '{32, 1}')
  t.equal(set.splits.train.y.dtype, 'float32')
end)

t.test('classes are counted in every split', function()
  local set = data.csv { file = TABLE, target = 'colour', ignore = { 'y' }, split = { 0.5, 0.25, 0.25 } }
  t.equal(set.classes, { 'blue', 'red' })
  t.equal(set.vocab_size, 2)
  t.equal(set.train:samples(), 20)
  t.equal(set.val:samples(), 10)
  t.equal(set.test:samples(), 10)
  local sum = 0
  for _, counts in pairs(set.class_counts) do sum = sum + counts[1] end
  t.equal(sum, 20)
  local numbers = data.csv { file = TABLE, target = 'a', features = { 'b' }, task = 'classification' }
  t.equal(#numbers.classes, 40)
  t.equal(numbers.classes[1], 1)
  t.equal(numbers.splits.train.y.dtype, 'int64')
end)

t.test('missing values are an error, a row less, or the mean of train', function()
  local path = write('holes.csv', 'a,y\n1,1\n,2\n3,3\nNA,4\n5,5\n6,6\n')
  refused(4, "line 3: column 'a' is empty, as in 2 rows of the table; missing='drop' leaves such rows out", function()
    data.csv { file = path, target = 'y' }
  end)
  t.equal(data.csv({ file = path, target = 'y', missing = 'drop', split = { train = 1 } }).train:samples(), 4)
  local filled = data.csv { file = path, target = 'y', missing = 'mean', split = { train = 1 }, standardise = false }
  local values = filled.splits.train.x:view({ -1 }):tolist()
  table.sort(values)
  t.equal(values, { 1, 3, 3.75, 3.75, 5, 6 })
end)

t.test('what is wrong with a table or its options is told', function()
  refused(3, "target 'Y' is not a column of", function() data.csv { file = TABLE, target = 'Y' } end)
  refused(3, "is it delimiter=';'?", function() data.csv { file = write('semi.csv', 'a;b\n1;2\n'), target = 'b' } end)
  refused(3, 'the shares of split add up to 0.9, expected 1',
    function() data.csv { file = TABLE, target = 'y', split = { 0.8, 0.1 } } end)
  refused(3, "task='regression', but the target 'colour' is text", function()
    data.csv { file = TABLE, target = 'colour', task = 'regression' }
  end)
  refused(4, 'does not exist', function() data.csv { file = folder .. '/none.csv', target = 'y' } end)
  local names = { 'name,y' }
  for i = 1, 60 do names[#names + 1] = ('n%d,%d'):format(i, i) end
  refused(3, "ignore={'name'}",
    function() data.csv { file = write('names.csv', table.concat(names, '\n')), target = 'y' } end)
end)

-- A .npy file of these numbers.
local function npy(name, kind, shape, bytes)
  local header = ("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }\n"):format(kind, shape)
  return write(name, '\147NUMPY\1\0' .. string.char(#header, 0) .. header .. bytes)
end

t.test('arrays of NumPy: whole numbers are classes, others are targets', function()
  local x = npy('x.npy', '|u1', '4, 2', '\1\2\3\4\5\6\7\8')
  local set = data.npy { x = x, y = npy('y.npy', '|u1', '4,', '\0\2\1\2'), split = { train = 1 }, batch = 3 }
  t.equal(set.vocab_size, 3)
  t.equal(set.train:count(), 2)
  t.equal(set.splits.train.x.dtype, 'float32')
  t.equal(set.splits.train.y.dtype, 'int64')
  t.equal(set.class_counts.train, { 1, 1, 2 })
  local apart = data.npy { x = x, y = npy('f.npy', '<f4', '4,', ('\0'):rep(16)), val_x = x, val_y = folder .. '/f.npy' }
  t.equal(tostring(apart.splits.val.y.shape), '{4, 1}')
  t.equal(apart.vocab_size, nil)
  refused(4, "has 4 rows, '" .. folder .. "/one.npy' has 1",
    function() data.npy { x = x, y = npy('one.npy', '|u1', '1,', '\0') } end)
  refused(3, 'split is for data without sets of its own', function()
    data.npy { x = x, y = folder .. '/y.npy', val_x = x, val_y = folder .. '/y.npy', split = { 0.8, 0.2 } }
  end)
end)

t.test("pictures and labels in MNIST's format are read", function()
  local images = write('images.idx', '\0\0\8\3\0\0\0\4\0\0\0\2\0\0\0\2' .. '\0\1\2\3\4\5\6\7\8\9\10\11\12\13\14\15')
  local labels = write('labels.idx', '\0\0\8\1\0\0\0\4\7\0\7\1')
  local set = data.idx { images = images, labels = labels, split = { train = 1 } }
  t.equal(tostring(set.splits.train.x.shape), '{4, 1, 2, 2}')
  t.equal(#set.classes, 8)
  t.near(set.splits.train.x:mean():item(), 0, 1e-6)
  t.near(set.mean:item(), 7.5, 1e-6)
end)

t.test('pictures of a folder: each sub-folder is a class, sizes must agree or be given', function()
  for i, class in ipairs { 'cats', 'dogs' } do
    host.mkdir(folder .. '/' .. class)
    for n = 1, 3 do write(('%s/%d.pgm'):format(class, n), 'P5\n2 2\n255\n' .. string.char(10 * i, 20, 30, 40 + n)) end
  end
  write('cats/readme.txt', 'no picture')
  host.mkdir(folder .. '/pictures')
  t.shell(('mv %s/cats %s/dogs %s/pictures'):format(folder, folder, folder))
  local set = data.images { folder = folder .. '/pictures', channels = 1, split = { train = 1 } }
  t.equal(set.classes, { 'cats', 'dogs' })
  t.equal(set.class_counts.train, { 3, 3 })
  t.equal(tostring(set.splits.train.x.shape), '{6, 1, 2, 2}')
  write('pictures/cats/large.pgm', 'P5\n3 2\n255\n123456')
  refused(4, 'give size={height, width}', function() data.images { folder = folder .. '/pictures', channels = 1 } end)
  local sized = data.images { folder = folder .. '/pictures', channels = 3, size = { 4, 4 }, split = { train = 1 } }
  t.equal(tostring(sized.splits.train.x.shape), '{7, 3, 4, 4}')
  refused(4, "folder '" .. folder .. "/none' does not exist", function() data.images { folder = folder .. '/none' } end)
  refused(4, 'has no sub-folders', function() data.images { folder = folder .. '/pictures/cats' } end)
  write('pictures/dogs/4.png', 'no picture')
  refused(4, "4.png': not a readable picture",
    function() data.images { folder = folder .. '/pictures', size = { 2, 2 } } end)
end)

t.test('experiments on data of one\'s own run as they are', function()
  for _, name in ipairs { 'regression', 'csv', 'images' } do
    local output, code = t.shell(('RUNNER_RESULTS_DIR=%s/results %s experiments/own/%s.lua train.epochs=3 2>&1')
      :format(folder, t.quote(host.folder .. '/runner'), name))
    t.equal(code, 0, ('%s: %s'):format(name, output))
    t.contains(output, 'samples/s')
    local manifest = require('json').read(('%s/results/%s/latest/manifest.json'):format(folder, name))
    if name ~= 'regression' then t.matches(manifest.data[1].sha256, '^sha256:%x+$') end
  end
end)
