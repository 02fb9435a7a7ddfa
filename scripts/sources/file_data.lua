-- Data from files of tables, arrays and pictures, ready for train.fit: splits drawn by a seed, inputs standardised by
-- the train split alone, classes counted. data.csv, data.npy, data.npz, data.idx and data.images are made of these
-- parts.
local data_set = require 'sources.data_set'
local fail = require 'fail'
local host = require 'host'
local native = require 'lanthorn'
local opened = require 'sources.opened'
local pretty = require 'pretty'
local torch = require 'torch'

local file_data = {}

---@class FileData: DataSet
---@field files table[] of file_data.record
---@field classes any[]?
---@field columns string[]?
---@field class_counts table<string, integer[]>? by split
local FileData = data_set.derive {}

local MANY_CLASSES = 12 -- in a line

-- "cat 12, dog 10", "... of 20 classes"
local function class_text(classes, counts)
  local parts = {}
  for i, samples in ipairs(counts) do
    if i == MANY_CLASSES and #classes > MANY_CLASSES then
      parts[i] = ('... of %d classes'):format(#classes)
      break
    end
    parts[i] = ('%s %s'):format(tostring(classes[i]), pretty.count(samples))
  end
  return table.concat(parts, ', ')
end

-- Columns, and how many samples each class has.
function FileData:lines(plan)
  local lines = data_set.lines(self, plan)
  if self.columns then
    local standardised = self.mean and ', standardised by the train split' or ''
    lines[#lines + 1] = ('%d input columns%s'):format(#self.columns, standardised)
  end
  for _, split in ipairs(self.class_counts and { 'train', 'val', 'test' } or {}) do
    local text = class_text(self.classes, self.class_counts[split] or {})
    if text ~= '' then lines[#lines + 1] = ('classes of %s: %s'):format(split, text) end
  end
  return lines
end

function FileData:records()
  local records = {}
  for i, file in ipairs(self.files) do
    records[i] = { name = file.name, bytes = file.bytes, sha256 = 'sha256:' .. file.sha256 }
  end
  return records
end

local BATCH = 32 -- rows, or all of a split that has fewer

-- What every kind takes beside what is its own.
local COMMON = { batch = 'int?', drop_last = { 'boolean', false }, shuffle = { 'boolean', true }, seed = 'int?',
  split = 'table?', standardise = { 'boolean', true } }

---A spec with the options that all kinds have.
---@param own table
---@param standardise boolean the default
---@return table
function file_data.spec(own, standardise)
  local spec = {}
  for key, value in pairs(COMMON) do spec[key] = value end
  for key, value in pairs(own) do spec[key] = value end
  spec.standardise = { 'boolean', standardise }
  return spec
end

---Name, size and checksum of a file that a run is made of.
---@param path string
---@return { name: string, path: string, bytes: integer, sha256: string }
function file_data.record(path)
  local stat = host.stat(path)
  if not stat then fail.data("'%s' does not exist; paths are relative to the working folder '%s'", path, host.cwd()) end
  if stat.type ~= 'file' then
    fail.data("'%s' is a %s, not a file", path, stat.type == 'dir' and 'folder' or 'special file')
  end
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
      fail.config("data.%s: split has '%s'; it is {train=, val=, test=} or a list of the three shares", kind,
        tostring(name))
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
  if train < 1 then
    fail.data('data.%s: %d rows leave none for train beside %d for val and %d for test', kind, rows, val, test)
  end
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
  local given = trains and { batch = batch, drop_last = o.drop_last, shuffle = o.shuffle, seed = seed }
    or { batch = batch }
  return native.data.from_tensors(split.x, split.y, given)
end

---Data for train.fit. `sets` holds x and y of all rows, which are split here, or of train, val and test apart.
---@param kind string "csv", for messages
---@param sets { all: table?, train: table?, val: table?, test: table? } each { x = Tensor float, y = Tensor }
---@param o table options of file_data.spec
---@param about { seed: integer, classes: any[]?, columns: string[]?, files: table[] }
---@return table
function file_data.build(kind, sets, o, about)
  local seed = o.seed or about.seed
  if sets.all then
    local rows = split_rows(kind, sets.all.x.shape[1], o, seed)
    for name, numbers in pairs(rows) do
      sets[name] = { x = sets.all.x:index_select(0, numbers), y = sets.all.y:index_select(0, numbers) }
    end
  end
  local made = setmetatable({ kind = kind, classes = about.classes, columns = about.columns, files = about.files,
    vocab_size = about.classes and #about.classes or nil, class_counts = about.classes and {} or nil, splits = {},
    bytes = 0 }, FileData)
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
      for _, tensor in pairs(split) do made.bytes = made.bytes + tensor:numel() * tensor:element_size() end
      made[name] = batches_of(kind, split, o, name == 'train', seed)
    end
  end
  return made
end

---Puts the train split's mean of a column where a value of it is missing.
---@param all { x: Tensor } float64
---@param o table
---@param seed integer
function file_data.fill(all, o, seed)
  local rows = split_rows('csv', all.x.shape[1], o, o.seed or seed)
  local train = all.x:index_select(0, rows.train)
  local mean = train:nanmean({ 0 }, true)
  if mean:isnan():any():item() then
    fail.data("'%s': a column has no value in the train split, so it has no mean", o.file)
  end
  all.x = torch.where(all.x:isnan(), mean:expand_as(all.x), all.x)
end

return file_data
