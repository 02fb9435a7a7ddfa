-- data.npy: arrays of NumPy, a file each.
local arrays = require 'sources.arrays'
local file_data = require 'sources.file_data'
local native = require 'lanthorn'
local options = require 'options'

local data = {}

local SPEC = file_data.spec({ x = 'string', y = 'string', val_x = 'string?', val_y = 'string?', test_x = 'string?',
  test_y = 'string?' }, false)

---Arrays of NumPy from .npy files: rows of x, and of y (whole numbers of one dimension are classes). They are split
---by `split` as in data.csv, unless val_x and val_y (test_x, test_y) give sets of their own.
---@param given { x: string, y: string, val_x: string?, val_y: string?, test_x: string?, test_y: string?, split: table?,
---standardise: boolean?, batch: integer?, shuffle: boolean?, drop_last: boolean?, seed: integer? }
---@return table data as of data.csv
function data.npy(given, config)
  local o = options.check('data.npy', given, SPEC)
  local files = {}
  local sets = arrays.sets('npy', o, function(path)
    files[#files + 1] = file_data.record(path)
    return native.data.read_npy(path)
  end)
  return file_data.build('npy', sets, o, { seed = config.seed, classes = arrays.classes(sets), files = files })
end

return data.npy
