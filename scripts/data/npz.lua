-- data.npz: arrays of one archive of NumPy.
local arrays = require 'sources.arrays'
local fail = require 'fail'
local file_data = require 'sources.file_data'
local native = require 'lanthorn'
local options = require 'options'

local data = {}

local SPEC = file_data.spec({ file = 'string', x = { 'string', 'x' }, y = { 'string', 'y' }, val_x = 'string?',
  val_y = 'string?', test_x = 'string?', test_y = 'string?' }, false)

---Arrays of one .npz archive of NumPy, by name ('x' and 'y'); the rest as data.npy.
---@param given { file: string, x: string?, y: string?, val_x: string?, val_y: string?, test_x: string?,
---test_y: string?, split: table?, standardise: boolean?, batch: integer?, shuffle: boolean?, drop_last: boolean?,
---seed: integer? }
---@return table data as of data.csv
function data.npz(given, config)
  local o = options.check('data.npz', given, SPEC)
  local files = { file_data.record(o.file) }
  local found = native.data.read_npz(o.file)
  local sets = arrays.sets('npz', o, function(name)
    if found[name] then return found[name] end
    local names = {}
    for key in pairs(found) do names[#names + 1] = key end
    table.sort(names)
    fail.config("data.npz: '%s' has no array '%s'; it has %s", o.file, name, table.concat(names, ', '))
  end)
  return file_data.build('npz', sets, o, { seed = config.seed, classes = arrays.classes(sets), files = files })
end

return data.npz
