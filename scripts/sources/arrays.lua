-- Inputs and targets in arrays of their own, for train, val and test.
local fail = require 'fail'

local arrays = {}

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

---Classes 0 to the largest that any split has; nil where targets are no classes.
---@param sets table<string, { y: Tensor }>
---@return integer[]?
function arrays.classes(sets)
  local largest = -1
  for _, split in pairs(sets) do
    if split.y.dtype ~= 'int64' or split.y:dim() ~= 1 then return nil end
    if split.y:numel() > 0 then largest = math.max(largest, split.y:max():item()) end
  end
  local classes = {}
  for class = 0, largest do classes[class + 1] = class end
  return classes
end

---Sets of named arrays: x and y alone are split, with val_x and val_y they are the train set.
---@param kind string for messages
---@param o table names of arrays, by x, y, val_x, val_y, test_x, test_y
---@param read fun(name: string): Tensor
---@return table<string, { x: Tensor, y: Tensor }>
function arrays.sets(kind, o, read)
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

return arrays
