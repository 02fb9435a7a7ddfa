-- data.idx: pictures and labels in MNIST's format.
local arrays = require 'sources.arrays'
local file_data = require 'sources.file_data'
local native = require 'lanthorn'
local options = require 'options'

local data = {}

local SPEC = file_data.spec({ images = 'string', labels = 'string', val_images = 'string?', val_labels = 'string?',
  test_images = 'string?', test_labels = 'string?' }, true)

---Pictures and labels in MNIST's format, plain or .gz: x is (N, 1, height, width), standardised by the train split.
---@param given { images: string, labels: string, val_images: string?, val_labels: string?, test_images: string?,
---test_labels: string?, split: table?, standardise: boolean?, batch: integer?, shuffle: boolean?, drop_last: boolean?,
---seed: integer? }
---@return table data as of data.csv
function data.idx(given, config)
  local o = options.check('data.idx', given, SPEC)
  local files = {}
  local renamed = { x = o.images, y = o.labels, val_x = o.val_images, val_y = o.val_labels, test_x = o.test_images,
    test_y = o.test_labels, split = o.split }
  local sets = arrays.sets('idx', renamed, function(path)
    files[#files + 1] = file_data.record(path)
    local read = native.data.read_idx(path)
    return read:dim() == 3 and read:unsqueeze(1) or read -- pictures get their channel
  end)
  return file_data.build('idx', sets, o, { seed = config.seed, classes = arrays.classes(sets), files = files })
end

return data.idx
