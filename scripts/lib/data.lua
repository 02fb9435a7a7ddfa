-- Texts and batches for training.
local cache_folder = require 'base.cache_folder'
local console = require 'console'
local corpora = require 'corpus.registry'
local experiment = require 'experiment'
local fail = require 'fail'
local host = require 'host'
local nearest = require 'nearest'
local opened = require 'sources.opened'
local options = require 'options'
local specs = require 'config.specs'

local data = {}

---@class TextData
---@field vocab_size integer
---@field length integer characters
---@field train Batches
---@field val Batches
local Text = {}

function Text.__index(text, key)
  return Text[key] or rawget(text, 'native')[key]
end

-- What Tab offers behind a text.
function Text.__complete(text)
  local names = debug.getmetatable(text.native).__complete(text.native)
  for name in pairs(Text) do names[#names + 1] = name end
  return names
end

-- Ids of a text, int64.
function Text:encode(text) return self.native:encode(text) end
-- Text of ids.
function Text:decode(ids) return self.native:decode(ids) end

local function stride_of(given)
  if given.layout == 'overlap' then return 1 end
  return given.stride
end

-- What became of the file that keeps a long text's tokens.
local function say_tokens(note)
  if note ~= '' then console.note(('%-10s%s'):format('tokens', note)) end
end

-- What was found in a text that is taken all the same.
local function say_text(name, note)
  if note ~= '' then console.note(("%-10s'%s': %s"):format('text', name, note)) end
end

local function experiment_seed()
  local values = experiment.current().values
  return values.train and values.train.seed or 0
end

---A character text split into train and val batches. Options: data section of specs.lua; a `file` wins over the corpus.
---@param given table such as {corpus = 'tinyshakespeare', batch = 64, seq = 100}
---@return TextData
function data.text(given)
  local o = options.check('data.text', given, specs.data)
  local source = o.file and { name = o.file:match('[^/]*$'), path = o.file, sha256 = '' } or corpora.find(o.corpus or 'tinyshakespeare')
  local layout = o.layout == 'rows' and o.stride == 1 and 'overlap' or o.layout
  if layout == 'rows' and o.stride > o.seq then
    local message = 'data: stride %d is larger than seq %d: %.0f %% of the text is never read; data.stride=%d reads all of it'
    console.warn(message:format(o.stride, o.seq, 100 * (1 - o.seq / o.stride), o.seq))
  end
  local values = experiment.current().values
  local eval_off = values.eval and values.eval.off or false
  local native = require('lanthorn').data.open_text {
    name = source.name, path = source.path, sha256 = source.sha256, batch = o.batch, seq = o.seq, stride = stride_of(o),
    split = o.split, layout = layout, chars = o.chars, shuffle = o.shuffle, seed = experiment_seed(),
    val_required = not eval_off, quiet = console.quiet, keep = o.cache, other_folder = cache_folder 'tokens',
    drop_last = o.drop_last, newlines = o.newlines or 'ask',
  }
  opened.add(source.path, native.sha256)
  say_tokens(native.note)
  say_text(source.name, native.text_note)
  return setmetatable({ native = native, options = o, bytes = native.data_bytes, layout = layout, kind = 'text',
    floor_nats = o.floor_nats, learnable = o.learnable, shift = o.shift }, Text)
end

local TENSORS = { x = 'Tensor', y = 'Tensor', batch = { 'int', 0 }, drop_last = { 'boolean', false }, shuffle = { 'boolean', false },
  seed = 'int?', val_x = 'Tensor?', val_y = 'Tensor?', vocab_size = 'int?',
  floor_nats = 'number?', learnable = 'boolean?', shift = 'int?' }

---Batches over rows of two tensors; batch = 0 takes all rows at once. Rows that do not fill a last batch make a smaller one, unless
---`drop_last` leaves them out of the training; `shuffle`: a new order each epoch, from `seed` (train.seed). `vocab_size`: how many
---classes y has, for which a fresh model's loss
---is ln V (guard G05). `floor_nats`: the lowest loss that is possible. `learnable = false`: nothing can be learnt, such as random targets.
---`shift`: the targets are the inputs so many positions later, which is checked (guard G45).
---@param given { x: Tensor, y: Tensor, batch: integer?, drop_last: boolean?, shuffle: boolean?, seed: integer?, val_x: Tensor?,
---val_y: Tensor?, vocab_size: integer?, floor_nats: number?,
---learnable: boolean?, shift: integer? }
function data.tensors(given)
  local o = options.check('data.tensors', given, TENSORS)
  local from = require('lanthorn').data.from_tensors
  local bytes = 0
  for _, tensor in ipairs { o.x, o.y, o.val_x, o.val_y } do bytes = bytes + tensor:numel() * tensor:element_size() end
  local train = from(o.x, o.y, { batch = o.batch, drop_last = o.drop_last, shuffle = o.shuffle, seed = o.seed or experiment_seed() })
  local val -- all of it counts
  if o.val_x then
    local rows = o.val_x:dim() > 0 and o.val_x.shape[1] or 0
    val = from(o.val_x, o.val_y, { batch = math.min(o.batch, rows) })
  end
  return { kind = 'tensors', bytes = bytes, train = train, val = val, vocab_size = o.vocab_size, floor_nats = o.floor_nats,
    learnable = o.learnable, shift = o.shift }
end

---A table of comma-separated values. `target` is the column to predict: text becomes classes, numbers stay numbers unless task is
---'classification'. Inputs are the other columns but those of `ignore`, or those of `features`; text among them becomes one column for
---each of its values. `split` {train=0.8, val=0.1, test=0.1} is drawn by the seed; inputs are standardised by the train split alone. A
---missing value is an error, or missing = 'drop' leaves its row out, 'mean' puts the mean of train there.
---@param given { file: string, target: string, features: string[]?, ignore: string[]?, text: string[]?, delimiter: string?,
---header: boolean?, missing: string?, missing_values: string[]?, task: string?, split: table?, standardise: boolean?,
---batch: integer?, shuffle: boolean?, drop_last: boolean?, seed: integer? }
---@return table data with train, val, test, splits (their tensors), columns, classes, class_counts, mean, std
function data.csv(given) return require('sources.files').csv(given, experiment_seed()) end

---Arrays of NumPy from .npy files: rows of x, and of y (whole numbers of one dimension are classes). They are split by `split` as in
---data.csv, unless val_x and val_y (test_x, test_y) give sets of their own.
---@param given { x: string, y: string, val_x: string?, val_y: string?, test_x: string?, test_y: string?, split: table?,
---standardise: boolean?, batch: integer?, shuffle: boolean?, drop_last: boolean?, seed: integer? }
---@return table data as of data.csv
function data.npy(given) return require('sources.files').npy(given, experiment_seed()) end

---Arrays of one .npz archive of NumPy, by name ('x' and 'y'); the rest as data.npy.
---@param given { file: string, x: string?, y: string?, val_x: string?, val_y: string?, test_x: string?, test_y: string?, split: table?,
---standardise: boolean?, batch: integer?, shuffle: boolean?, drop_last: boolean?, seed: integer? }
---@return table data as of data.csv
function data.npz(given) return require('sources.files').npz(given, experiment_seed()) end

---Pictures and labels in MNIST's format, plain or .gz: x is (N, 1, height, width), standardised by the train split.
---@param given { images: string, labels: string, val_images: string?, val_labels: string?, test_images: string?, test_labels: string?,
---split: table?, standardise: boolean?, batch: integer?, shuffle: boolean?, drop_last: boolean?, seed: integer? }
---@return table data as of data.csv
function data.idx(given) return require('sources.files').idx(given, experiment_seed()) end

---Pictures of a folder, each sub-folder a class: x is (N, channels, height, width), standardised by channel over the train split.
---Pictures of different sizes need `size = {height, width}`.
---@param given { folder: string, size: integer[]?, channels: integer?, split: table?, standardise: boolean?, batch: integer?,
---shuffle: boolean?, drop_last: boolean?, seed: integer? }
---@return table data as of data.csv
function data.images(given) return require('sources.files').images(given, experiment_seed()) end

local BATCHES = { count = 'int', rows = 'int', targets = 'int?', get = 'function' }
local CUSTOM = { count = { 'int', min = 1 }, rows = { 'int', min = 1 }, targets = { 'int?', min = 1 },
  get = 'function', val = 'table?', shift = 'int?', vocab_size = 'int?' }

local function custom_batches(o)
  return require('lanthorn').data.from_function(o.get, { count = o.count, rows = o.rows, targets = o.targets or o.rows })
end

---Batches of your own: get(i, epoch) returns inputs and targets of batch i, from 0 to count - 1; epochs count from 1. `rows` is how
---many samples a batch has, `targets` how many targets (rows, if left out), `val` the same for eval. What it reads is not recorded
---with the run. `shift` and `vocab_size` as in data.tensors.
---@param given { count: integer, rows: integer, targets: integer?, get: (fun(i: integer, epoch: integer): Tensor, Tensor), val: table?,
---shift: integer?, vocab_size: integer? }
function data.custom(given)
  local o = options.check('data.custom', given, CUSTOM)
  local val = o.val and options.check('data.custom val', o.val, BATCHES)
  return { kind = 'custom', train = custom_batches(o), val = val and custom_batches(val) or nil, shift = o.shift,
    vocab_size = o.vocab_size }
end

local DOMAIN = { name = 'string?', file = 'string?', corpus = 'string?', bytes = { 'int', 0 } }

-- Raises for a path that is not a file, with the files of that folder that may have been meant.
local function check_file(path, option)
  local info = host.stat(path)
  if info and info.type == 'dir' then fail.data("%s '%s' is a folder, expected a text file", option, path) end
  if info then return end
  local folder, name = path:match '^(.*/)([^/]*)$'
  local function plain(file) return (file:gsub('%.', '_')) end -- the parts of a dotted name would be compared as those of an option
  local files, names = {}, {}
  for _, other in ipairs(host.listdir(folder or '.') or {}) do
    local found = host.stat((folder or '') .. other)
    if found and found.type == 'file' then names[#names + 1], files[plain(other)] = plain(other), other end
  end
  local near = files[nearest.find(plain(name or path), names)[1]]
  local hint = corpora.known[path] and ('; the corpus of that name is {corpus=%s}'):format(path)
    or near and ('; nearest: %s%s'):format(folder or '', near) or ''
  local from = path:sub(1, 1) == '/' and '' or ("; paths are relative to the working folder '%s'"):format(host.cwd())
  fail.data("%s '%s' does not exist%s%s", option, path, from, hint)
end

local function domain_source(given, index)
  local option = ('domains.texts[%d]'):format(index)
  local o = options.check('data.domains: ' .. option, type(given) == 'string' and { file = given } or given, DOMAIN)
  if (o.file == nil) == (o.corpus == nil) then fail.config('data.domains: %s needs either a file or a corpus', option) end
  if o.bytes < 0 then fail.config('data.domains: %s.bytes must not be negative (0: all), got %d', option, o.bytes) end
  if o.file then check_file(o.file, option .. '.file') end
  local source = o.file and { name = o.file:match('[^/]*$'):gsub('%.%w+$', ''), path = o.file, sha256 = '' }
    or corpora.find(o.corpus, option .. '.file')
  return { name = o.name or source.name, path = source.path, sha256 = source.sha256, bytes = o.bytes }
end

---@class DomainData
---@field vocab_size integer
---@field names string[]
---@field info table[] of Domains:info
---@field phases table[] of Domains:phases
---@field train Batches
---@field val Batches
---@field seed integer of the windows
local Domains = {}
Domains.__index = Domains

-- The val or test batches of a domain, from 1.
function Domains:val_of(domain) return self.native:val_of(domain) end
function Domains:test_of(domain) return self.native:test_of(domain) end
-- Token ids of a text, int64, and back.
function Domains:encode(text) return self.native:encode(text) end
function Domains:decode(ids) return self.native:decode(ids) end

-- Domains of options that were checked, from texts that were found.
local function open_domains(o, sources, seed)
  local names = {}
  for i, source in ipairs(sources) do names[i] = source.name end
  local native = require('lanthorn').data.open_domains(sources, {
    words = o.words, batch = o.batch, seq = o.seq, stride = o.stride, train = o.train, val = o.val, order = o.order,
    batches = o.batches, phases = o.phases, interleaved = o.interleaved, seed = seed, quiet = console.quiet, keep = o.cache,
    other_folder = cache_folder 'tokens', drop_last = o.drop_last, newlines = o.newlines or 'ask',
  })
  local bytes = 0
  for _, one in ipairs(native:info()) do
    opened.add(one.path, one.sha256)
    say_tokens(one.note)
    say_text(one.name, one.text_note)
    bytes = bytes + one.data_bytes
  end
  return setmetatable({ native = native, kind = 'domains', options = o, sources = sources, names = names, seed = seed,
    info = native:info(), bytes = bytes, phases = native:phases(), vocab_size = native:vocab_size(), train = native:train(),
    val = native:val() }, Domains)
end

---The same texts with the windows of another seed: for a script that trains with several seeds, since windows are drawn when texts are
---opened. The newest is kept, so that all arms of a seed share one.
---@param seed integer
---@return DomainData
function Domains:with_seed(seed)
  if seed == self.seed then return self end
  local kept = rawget(self, 'reseeded')
  if not kept or kept.seed ~= seed then
    local o = {}
    for key, value in pairs(self.options) do o[key] = value end
    o.seed = seed
    kept = open_domains(o, self.sources, seed)
    self.reseeded = kept
  end
  return kept
end

---Several texts under one vocabulary. Each of `texts` is a file name or {file=|corpus=, name=, bytes=}. words = n: a vocabulary of n words
---from the train splits (0: characters). Windows of `seq` tokens every `stride` (seq / 2), drawn at random or each once an
---`order='epoch'` (the last batch
---smaller, or left out by `drop_last`);
---`batches` of each phase an epoch. Phases follow one another, each domain once or as `phases = {1, 2, 1}` says; or take turns
---(`interleaved`). Shares `train` and `val` are by position, the rest is the test split.
---@param given { texts: table[], words: integer?, batch: integer?, seq: integer?, stride: integer?, train: number?, val: number?,
---order: string?, batches: integer?, drop_last: boolean?, phases: integer[]?, interleaved: boolean?, allow_leak: boolean?, seed: integer? }
---@return DomainData
function data.domains(given)
  local o = options.check('data.domains', given, specs.domains)
  o.stride = o.stride or math.max(1, math.floor(o.seq / 2))
  local sources = {}
  local places = {}
  for i, domain in ipairs(o.texts) do
    local source = domain_source(domain, i)
    local other = places[source.name]
    if other then
      fail.config("domains.texts[%d] and [%d] are both called '%s'; give one a name of its own: {file=..., name=...}", other, i,
        source.name)
    end
    sources[i], places[source.name] = source, i
  end
  local made = open_domains(o, sources, o.seed or experiment_seed())
  for _, one in ipairs(made.info) do
    if math.max(one.train_unknown, one.val_unknown) > 0.1 then
      console.warn(("data: domain '%s': %.1f %% of the train and %.1f %% of the val words are unknown; perplexities of it are not "
        .. 'comparable (above 10 %%)'):format(one.name, 100 * one.train_unknown, 100 * one.val_unknown))
    end
  end
  return made
end

return setmetatable(data, { __index = function(_, name) nearest.missing('data', data, name) end })
