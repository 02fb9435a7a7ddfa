-- data.custom: batches that a function of the script makes.
local data_set = require 'sources.data_set'
local native = require 'lanthorn'
local options = require 'options'

local data = {}

local BATCHES = { count = { 'int', min = 1 }, rows = { 'int', min = 1 }, targets = { 'int?', min = 1 },
  get = 'function' }
local SPEC = { val = 'table?', shift = 'int?', vocab_size = 'int?', floor_nats = 'number?', learnable = 'boolean?' }
for name, row in pairs(BATCHES) do SPEC[name] = row end

local function batches(o)
  return native.data.from_function(o.get, { count = o.count, rows = o.rows, targets = o.targets or o.rows })
end

---Batches of your own: get(i, epoch) returns inputs and targets of batch i, from 0 to count - 1; epochs count from 1.
---`rows` is how many samples a batch has, `targets` how many targets (rows, if left out), `val` the same for eval.
---What it reads is not recorded with the run. `shift`, `vocab_size`, `floor_nats` and `learnable` as in data.tensors.
---@param given { count: integer, rows: integer, targets: integer?, get: (fun(i: integer, epoch: integer): Tensor,
---Tensor), val: table?, shift: integer?, vocab_size: integer?, floor_nats: number?, learnable: boolean? }
function data.custom(given)
  local o = options.check('data.custom', given, SPEC)
  local val = o.val and options.check('data.custom val', o.val, BATCHES)
  return data_set.new { kind = 'custom', unmanaged = true, train = batches(o), val = val and batches(val) or nil,
    shift = o.shift, vocab_size = o.vocab_size, floor_nats = o.floor_nats, learnable = o.learnable }
end

return data.custom
