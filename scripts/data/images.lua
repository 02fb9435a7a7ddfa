-- data.images: pictures of a folder, each sub-folder a class.
local fail = require 'fail'
local file_data = require 'sources.file_data'
local files = require 'files'
local native = require 'lanthorn'
local opened = require 'sources.opened'
local options = require 'options'
local torch = require 'torch'

local data = {}

local SPEC = file_data.spec({ folder = 'string', size = 'list?', channels = { 'int', 3 } }, true)
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
        if file.type == 'file' and PICTURES[ending or ''] then
          list[#list + 1] = { path = file.path, class = #classes - 1 }
        end
      end
    end
  end
  if #classes == 0 then fail.data("data.images: '%s' has no sub-folders; each class is one", folder) end
  if #list == 0 then
    fail.data("data.images: '%s' and its sub-folders hold no picture (png, jpg, bmp, gif, tga, ppm, pgm)", folder)
  end
  return classes, list
end

---Pictures of a folder, each sub-folder a class: x is (N, channels, height, width), standardised by channel over the
---train split. Pictures of different sizes need `size = {height, width}`.
---@param given { folder: string, size: integer[]?, channels: integer?, split: table?, standardise: boolean?,
---batch: integer?, shuffle: boolean?, drop_last: boolean?, seed: integer? }
---@return table data as of data.csv
function data.images(given, config)
  local o = options.check('data.images', given, SPEC)
  local classes, list = picture_list(o.folder)
  local pictures, labels, sums = {}, {}, {}
  for i, picture in ipairs(list) do
    local image = native.data.read_image(picture.path, o.channels)
    if not o.size then o.size = { image.shape[2], image.shape[3] } end
    if not given.size and (image.shape[2] ~= o.size[1] or image.shape[3] ~= o.size[2]) then
      fail.data("data.images: '%s' is %d x %d, '%s' is %d x %d (height x width); give size={height, width}",
        picture.path, image.shape[2], image.shape[3], list[1].path, o.size[1], o.size[2])
    end
    pictures[i], labels[i] = resized(image, o.size), picture.class
    sums[i] = picture.path .. ' ' .. native.data.sha256(picture.path)
  end
  local record = { name = o.folder:gsub('/+$', ''):match '[^/]*$', path = o.folder, bytes = 0,
    sha256 = native.data.sha256_text(table.concat(sums, '\n')) }
  opened.add(record.path, record.sha256)
  local all = { x = torch.cat(pictures, 0), y = torch.tensor(labels, { dtype = 'int64' }) }
  return file_data.build('images', { all = all }, o, { seed = config.seed, classes = classes, files = { record } })
end

return data.images
