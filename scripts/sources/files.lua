-- Data of one's own from files of tables, arrays and pictures, ready for train.fit: splits drawn by a seed, inputs standardised by
-- the train split alone, classes counted. data.csv, data.npy, data.npz, data.idx and data.images are made of these parts.
local fail = require 'fail'
local host = require 'host'
local native = require 'lanthorn'
local opened = require 'sources.opened'
local options = require 'options'
local pretty = require 'pretty'
local torch = require 'torch'

local data_files = {}

local BATCH = 32 -- rows, or all of a split that has fewer

-- What every kind takes beside what is its own.
local COMMON = { batch = 'int?', drop_last = { 'boolean', false }, shuffle = { 'boolean', true }, seed = 'int?', split = 'table?',
  standardise = { 'boolean', true } }

---A spec with the options that all kinds have.
---@param own table
---@param standardise boolean the default
---@return table
function data_files.spec(own, standardise)
  local spec = {}
  for key, value in pairs(COMMON) do spec[key] = value end
  for key, value in pairs(own) do spec[key] = value end
  spec.standardise = { 'boolean', standardise }
  return spec
end

---Name, size and checksum of a file that a run is made of.
---@param path string
---@return { name: string, path: string, bytes: integer, sha256: string }
function data_files.record(path)
  local stat = host.stat(path)
  if not stat then fail.data("'%s' does not exist; paths are relative to the working folder '%s'", path, host.cwd()) end
  if stat.type ~= 'file' then fail.data("'%s' is a %s, not a file", path, stat.type == 'dir' and 'folder' or 'special file') end
  local sha256 = native.data.sha256(path)
  opened.add(path, sha256)
  return { name = path:match '[^/]*$', path = path, bytes = stat.size, sha256 = sha256 }
end

-- Shares of train, val and test that add up to 1.
local function shares_of(kind, split)
  local shares = split or { train = 0.8, val = 0.1, test = 0.1 }
  if #shares > 0 then shares = { train = shares[1], val = shares[2], test = shares[3] } end
  local sum = 0
  for name, share in pairs(shares) do
    if name ~= 'train' and name ~= 'val' and name ~= 'test' then
      fail.config("data.%s: split has '%s'; it is {train=, val=, test=} or a list of the three shares", kind, tostring(name))
    end
    if type(share) ~= 'number' or share < 0 or share > 1 then
      fail.config('data.%s: split.%s must be a share from 0 to 1, got %s', kind, name, tostring(share))
    end
    sum = sum + share
  end
  if (shares.train or 0) <= 0 then fail.config('data.%s: split.train must be more than 0', kind) end
  if math.abs(sum - 1) > 1e-6 then fail.config('data.%s: the shares of split add up to %g, expected 1', kind, sum) end
  return shares
end

-- Row numbers of each split, int64: drawn by the seed, each row in one of them.
local function split_rows(kind, rows, o, seed)
  local shares = shares_of(kind, o.split)
  local order = native.data.order(rows, seed)
  local val, test = math.floor(rows * (shares.val or 0) + 0.5), math.floor(rows * (shares.test or 0) + 0.5)
  local train = rows - val - test
  if train < 1 then fail.data('data.%s: %d rows leave none for train beside %d for val and %d for test', kind, rows, val, test) end
  local function part(from, count) return count > 0 and order:narrow(0, from, count) or nil end
  return { train = part(0, train), val = part(train, val), test = part(train + val, test) }
end

-- Mean and standard deviation of each column (of each channel, for pictures) over the train split.
local function moments(x)
  local over = { 0 }
  for dimension = 2, x:dim() - 1 do over[#over + 1] = dimension end
  local double = x:to 'float64'
  local mean = double:mean(over, true)
  local deviation = (double - mean):square():mean(over, true):sqrt()
  return mean, torch.where(deviation:eq(0), torch.ones_like(deviation), deviation) -- a constant column becomes 0
end

-- How many samples of each class a split has.
local function count_classes(y, classes)
  return y:bincount({ minlength = classes }):tolist()
end

-- A split's batches; all of val and test counts.
local function batches_of(kind, split, o, trains, seed)
  local rows = split.y.shape[1]
  if trains and o.batch and o.batch > rows then
    fail.data('data.%s: the train split has %d rows, fewer than one batch of %d', kind, rows, o.batch)
  end
  local batch = math.min(o.batch or BATCH, rows)
  local given = trains and { batch = batch, drop_last = o.drop_last, shuffle = o.shuffle, seed = seed } or { batch = batch }
  return native.data.from_tensors(split.x, split.y, given)
end

---Data for train.fit. `sets` holds x and y of all rows, which are split here, or of train, val and test apart.
---@param kind string "csv", for messages
---@param sets { all: table?, train: table?, val: table?, test: table? } each { x = Tensor float, y = Tensor }
---@param o table options of data_files.spec
---@param about { seed: integer, classes: any[]?, columns: string[]?, files: table[] }
---@return table
function data_files.build(kind, sets, o, about)
  local seed = o.seed or about.seed
  if sets.all then
    local rows = split_rows(kind, sets.all.x.shape[1], o, seed)
    for name, numbers in pairs(rows) do
      sets[name] = { x = sets.all.x:index_select(0, numbers), y = sets.all.y:index_select(0, numbers) }
    end
  end
  local made = { kind = 'tensors', source = kind, classes = about.classes, columns = about.columns, files = about.files,
    vocab_size = about.classes and #about.classes or nil, class_counts = about.classes and {} or nil, splits = {}, bytes = 0 }
  local mean, deviation
  if o.standardise then
    mean, deviation = moments(sets.train.x)
    made.mean, made.std = mean:to 'float32', deviation:to 'float32'
  end
  for _, name in ipairs { 'train', 'val', 'test' } do
    local split = sets[name]
    if split then
      if mean then split.x = ((split.x:to 'float64' - mean) / deviation):to 'float32' end
      if about.classes then made.class_counts[name] = count_classes(split.y, #about.classes) end
      made.splits[name] = split
      made.bytes = made.bytes + split.x:numel() * split.x:element_size() + split.y:numel() * split.y:element_size()
      made[name] = batches_of(kind, split, o, name == 'train', seed)
    end
  end
  return made
end

-- Distinct whole numbers of a tensor in order, as classes, and their numbers.
local function classes_of_numbers(y)
  local values = {}
  local distinct = {}
  for _, value in ipairs(y:tolist()) do
    if not distinct[value] then
      distinct[value] = true
      values[#values + 1] = value
    end
  end
  table.sort(values)
  local numbers = {}
  for i, value in ipairs(values) do numbers[value] = i - 1 end
  local ids = {}
  for i, value in ipairs(y:tolist()) do ids[i] = numbers[value] end
  return values, torch.tensor(ids, { dtype = 'int64' })
end

local MANY_TEXTS = 50 -- different ones, in a column that is to be an input

local CSV = data_files.spec({ file = 'string', target = 'string', features = 'list?', ignore = { 'list', {} }, text = { 'list', {} },
  delimiter = { 'string', ',' }, header = { 'boolean', true }, missing = { 'string', 'error', one_of = { 'error', 'drop', 'mean' } },
  missing_values = { 'list', { 'NA', 'NaN', 'nan', 'null' } },
  task = { 'string', 'auto', one_of = { 'auto', 'regression', 'classification' } } }, true)

local function names_of(columns)
  local names = {}
  for i, column in ipairs(columns) do names[i] = column.name end
  return names
end

local function find_column(columns, name, what, o)
  for _, column in ipairs(columns) do
    if column.name == name then return column end
  end
  local hint = #columns == 1 and columns[1].name:find '[;\t|]' and (" (the whole header is one column; is it delimiter='%s'?)")
    :format(columns[1].name:match '[;\t|]':gsub('\t', '\\t')) or require('nearest').hint(name, names_of(columns))
  fail.config("data.csv: %s '%s' is not a column of '%s'%s", what, name, o.file, hint)
end

local function feature_columns(columns, o)
  local chosen = {}
  if o.features then
    for i, name in ipairs(o.features) do chosen[i] = find_column(columns, name, 'feature', o) end
  else
    local left = { [o.target] = true }
    for _, name in ipairs(o.ignore) do left[find_column(columns, name, 'ignore', o).name] = true end
    for _, column in ipairs(columns) do
      if not left[column.name] then chosen[#chosen + 1] = column end
    end
  end
  if #chosen == 0 then fail.config("data.csv: no column of '%s' is left as an input", o.file) end
  return chosen
end

-- Rows that may be used: all, or those without a missing value.
local function usable_rows(used, o)
  local missing = 0
  local kept
  for _, column in ipairs(used) do
    if column.missing > 0 then
      local fills = o.missing == 'mean' and not column.classes and column.name ~= o.target
      if o.missing == 'error' or o.missing == 'mean' and not fills then
        fail.data("'%s', line %d: column '%s' is empty, as in %d rows of the table; missing='drop' leaves such rows out%s", o.file,
          column.first_missing, column.name, column.missing, o.missing == 'error' and ", missing='mean' puts the mean of train there" or '')
      end
      if o.missing == 'drop' then
        local here = column.classes and column.values:ge(0) or column.values:isnan():logical_not()
        kept = kept and kept:logical_and(here) or here
      end
    end
  end
  if not kept then return nil, missing end
  local rows = kept:nonzero():view(-1)
  if rows.shape[1] == 0 then fail.data("'%s': every row has a missing value", o.file) end
  return rows, kept.shape[1] - rows.shape[1]
end

local function target_of(column, o)
  local classification = o.task == 'classification' or o.task == 'auto' and column.classes ~= nil
  if column.classes and not classification then
    fail.config("data.csv: task='regression', but the target '%s' is text, such as '%s'", column.name, column.classes[1])
  end
  if not classification then return column.values:to('float32'):view { -1, 1 } end
  if column.classes then return column.values, column.classes end
  local classes, ids = classes_of_numbers(column.values)
  return ids, classes
end

---See data.csv.
---@param given table
---@param seed integer of the config
---@return table
function data_files.csv(given, seed)
  local o = options.check('data.csv', given, CSV)
  local record = data_files.record(o.file)
  local csv = native.data.read_csv(o.file, { delimiter = o.delimiter, header = o.header, text = o.text, missing_values = o.missing_values })
  local target = find_column(csv.columns, o.target, 'target', o)
  local features = feature_columns(csv.columns, o)
  local rows, dropped = usable_rows({ target, unpack(features) }, o)
  if rows then
    for _, column in ipairs { target, unpack(features) } do column.values = column.values:index_select(0, rows) end
    require('console').note(('data      %s of %s left out: a value is missing'):format(pretty.plural(dropped, 'row'), o.file))
  end
  local inputs, names = {}, {}
  for _, column in ipairs(features) do
    if column.classes then
      if #column.classes > MANY_TEXTS and 2 * #column.classes > column.values.shape[1] then
        fail.config("data.csv: column '%s' has %d different texts in %d rows, which looks like names; leave it out: ignore={'%s'}",
          column.name, #column.classes, column.values.shape[1], column.name)
      end
      inputs[#inputs + 1] = torch.one_hot(column.values, #column.classes):to 'float64'
      for _, class in ipairs(column.classes) do names[#names + 1] = column.name .. '=' .. class end
    else
      inputs[#inputs + 1] = column.values:view { -1, 1 }
      names[#names + 1] = column.name
    end
  end
  local y, classes = target_of(target, o)
  local all = { x = torch.cat(inputs, 1), y = y }
  if o.missing == 'mean' then data_files.fill(all, o, seed) end
  all.x = all.x:to 'float32'
  return data_files.build('csv', { all = all }, o, { seed = seed, classes = classes, columns = names, files = { record } })
end

---Puts the train split's mean of a column where a value of it is missing.
---@param all { x: Tensor } float64
---@param o table
---@param seed integer
function data_files.fill(all, o, seed)
  local rows = split_rows('csv', all.x.shape[1], o, o.seed or seed)
  local train = all.x:index_select(0, rows.train)
  local mean = train:nanmean({ 0 }, true)
  if mean:isnan():any():item() then fail.data("'%s': a column has no value in the train split, so it has no mean", o.file) end
  all.x = torch.where(all.x:isnan(), mean:expand_as(all.x), all.x)
end

-- x as float32, y as classes (whole numbers, from 0) or as numbers (N, 1).
local function prepare(kind, x, y, x_name, y_name)
  if x:dim() < 2 then x = x:view { -1, 1 } end
  if y.shape[1] ~= x.shape[1] then
    fail.data("data.%s: '%s' has %d rows, '%s' has %d", kind, x_name, x.shape[1], y_name, y.shape[1])
  end
  local whole = not y.dtype:find '^float' and not y.dtype:find 'complex'
  if whole and y:dim() == 1 then
    y = y:to 'int64'
    if y:numel() > 0 and y:min():item() < 0 then fail.data("data.%s: '%s' has a class below 0", kind, y_name) end
  else
    y = y:to 'float32'
    if y:dim() == 1 then y = y:view { -1, 1 } end
  end
  return { x = x:to 'float32', y = y }
end

-- Classes 0 to the largest that any split has.
local function classes_in(sets)
  local largest = -1
  for _, split in pairs(sets) do
    if split.y.dtype ~= 'int64' or split.y:dim() ~= 1 then return nil end
    if split.y:numel() > 0 then largest = math.max(largest, split.y:max():item()) end
  end
  local classes = {}
  for class = 0, largest do classes[class + 1] = class end
  return classes
end

-- Sets of named arrays: x and y alone are split, with val_x and val_y they are the train set.
local function sets_of(kind, o, read)
  local function set(x_key, y_key)
    if not o[x_key] and not o[y_key] then return nil end
    if not o[x_key] or not o[y_key] then fail.config('data.%s: %s and %s come together', kind, x_key, y_key) end
    return prepare(kind, read(o[x_key]), read(o[y_key]), o[x_key], o[y_key])
  end
  local first, val, test = set('x', 'y'), set('val_x', 'val_y'), set('test_x', 'test_y')
  if not val and not test then return { all = first } end
  if o.split then fail.config('data.%s: split is for data without sets of its own; val_x or test_x is given', kind) end
  return { train = first, val = val, test = test }
end

local ARRAYS = { x = 'string', y = 'string', val_x = 'string?', val_y = 'string?', test_x = 'string?', test_y = 'string?' }
local NPY = data_files.spec(ARRAYS, false)

---See data.npy.
function data_files.npy(given, seed)
  local o = options.check('data.npy', given, NPY)
  local files = {}
  local sets = sets_of('npy', o, function(path)
    files[#files + 1] = data_files.record(path)
    return native.data.read_npy(path)
  end)
  return data_files.build('npy', sets, o, { seed = seed, classes = classes_in(sets), files = files })
end

local NPZ = data_files.spec({ file = 'string', x = { 'string', 'x' }, y = { 'string', 'y' }, val_x = 'string?', val_y = 'string?',
  test_x = 'string?', test_y = 'string?' }, false)

---See data.npz.
function data_files.npz(given, seed)
  local o = options.check('data.npz', given, NPZ)
  local files = { data_files.record(o.file) }
  local arrays = native.data.read_npz(o.file)
  local sets = sets_of('npz', o, function(name)
    if arrays[name] then return arrays[name] end
    local names = {}
    for key in pairs(arrays) do names[#names + 1] = key end
    table.sort(names)
    fail.config("data.npz: '%s' has no array '%s'; it has %s", o.file, name, table.concat(names, ', '))
  end)
  return data_files.build('npz', sets, o, { seed = seed, classes = classes_in(sets), files = files })
end

local IDX = data_files.spec({ images = 'string', labels = 'string', val_images = 'string?', val_labels = 'string?',
  test_images = 'string?', test_labels = 'string?' }, true)

---See data.idx.
function data_files.idx(given, seed)
  local o = options.check('data.idx', given, IDX)
  local files = {}
  local renamed = { x = o.images, y = o.labels, val_x = o.val_images, val_y = o.val_labels, test_x = o.test_images,
    test_y = o.test_labels, split = o.split }
  local sets = sets_of('idx', renamed, function(path)
    files[#files + 1] = data_files.record(path)
    local read = native.data.read_idx(path)
    return read:dim() == 3 and read:unsqueeze(1) or read -- pictures get their channel
  end)
  return data_files.build('idx', sets, o, { seed = seed, classes = classes_in(sets), files = files })
end

local IMAGES = data_files.spec({ folder = 'string', size = 'list?', channels = { 'int', 3 } }, true)
local PICTURES = { png = true, jpg = true, jpeg = true, bmp = true, gif = true, tga = true, ppm = true, pgm = true }

local function resized(image, size)
  image = image:to('float32'):unsqueeze(0)
  if size and (image.shape[3] ~= size[1] or image.shape[4] ~= size[2]) then
    image = torch.upsample_bilinear2d(image, size, false)
  end
  return image
end

-- Each sub-folder is a class; its pictures by name.
local function picture_list(folder)
  local files = require 'files'
  local kind = files.type(folder)
  if kind ~= 'dir' then
    fail.data("data.images: folder '%s' %s", folder, kind and 'is a ' .. kind or 'does not exist')
  end
  local classes, list = {}, {}
  for _, entry in ipairs(files.list(folder)) do
    if entry.type == 'dir' then
      classes[#classes + 1] = entry.name
      for _, file in ipairs(files.list(entry.path)) do
        local ending = file.name:lower():match '%.(%w+)$'
        if file.type == 'file' and PICTURES[ending or ''] then list[#list + 1] = { path = file.path, class = #classes - 1 } end
      end
    end
  end
  if #classes == 0 then fail.data("data.images: '%s' has no sub-folders; each class is one", folder) end
  if #list == 0 then fail.data("data.images: '%s' and its sub-folders hold no picture (png, jpg, bmp, gif, tga, ppm, pgm)", folder) end
  return classes, list
end

---See data.images.
function data_files.images(given, seed)
  local o = options.check('data.images', given, IMAGES)
  local classes, list = picture_list(o.folder)
  local pictures, labels, files = {}, {}, {}
  for i, picture in ipairs(list) do
    local image = native.data.read_image(picture.path, o.channels)
    if not o.size then o.size = { image.shape[2], image.shape[3] } end
    if not given.size and (image.shape[2] ~= o.size[1] or image.shape[3] ~= o.size[2]) then
      fail.data("data.images: '%s' is %d x %d, '%s' is %d x %d (height x width); give size={height, width}", picture.path,
        image.shape[2], image.shape[3], list[1].path, o.size[1], o.size[2])
    end
    pictures[i], labels[i] = resized(image, o.size), picture.class
    files[i] = picture.path .. ' ' .. native.data.sha256(picture.path)
  end
  local record = { name = o.folder:gsub('/+$', ''):match '[^/]*$', path = o.folder, bytes = 0,
    sha256 = native.data.sha256_text(table.concat(files, '\n')) }
  opened.add(record.path, record.sha256)
  local all = { x = torch.cat(pictures, 0), y = torch.tensor(labels, { dtype = 'int64' }) }
  return data_files.build('images', { all = all }, o, { seed = seed, classes = classes, files = { record } })
end

return data_files
