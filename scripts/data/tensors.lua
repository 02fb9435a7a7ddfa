-- data.tensors: rows of two tensors.
local data_set = require 'sources.data_set'
local from = require('lanthorn').data.from_tensors
local options = require 'options'

local data = {}

local SPEC = { x = 'Tensor', y = 'Tensor', batch = { 'int', 0 }, drop_last = { 'boolean', false },
  shuffle = { 'boolean', false }, seed = 'int?', val_x = 'Tensor?', val_y = 'Tensor?', vocab_size = 'int?',
  floor_nats = 'number?', learnable = 'boolean?', shift = 'int?' }

---Batches over rows of two tensors; batch = 0 takes all rows at once. Rows that do not fill a last batch make a
---smaller one, unless `drop_last` leaves them out of the training; `shuffle`: a new order each epoch, from `seed`
---(train.seed). `vocab_size`: how many classes y has, for which a fresh model's loss is ln V (guard G05).
---`floor_nats`: the lowest loss that is possible. `learnable = false`: nothing can be learnt, such as random targets.
---`shift`: the targets are the inputs so many positions later, which is checked (guard G45).
---@param given { x: Tensor, y: Tensor, batch: integer?, drop_last: boolean?, shuffle: boolean?, seed: integer?,
---val_x: Tensor?, val_y: Tensor?, vocab_size: integer?, floor_nats: number?, learnable: boolean?, shift: integer? }
function data.tensors(given, config)
  local o = options.check('data.tensors', given, SPEC)
  local bytes = 0
  for _, tensor in ipairs { o.x, o.y, o.val_x, o.val_y } do bytes = bytes + tensor:numel() * tensor:element_size() end
  local train = from(o.x, o.y, { batch = o.batch, drop_last = o.drop_last, shuffle = o.shuffle,
    seed = o.seed or config.seed })
  local val -- all of it counts
  if o.val_x then
    local rows = o.val_x:dim() > 0 and o.val_x.shape[1] or 0
    val = from(o.val_x, o.val_y, { batch = math.min(o.batch, rows) })
  end
  return data_set.new { kind = 'tensors', bytes = bytes, train = train, val = val, vocab_size = o.vocab_size,
    floor_nats = o.floor_nats, learnable = o.learnable, shift = o.shift }
end

return data.tensors
