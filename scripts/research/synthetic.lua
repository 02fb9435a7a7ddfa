-- Token data whose lowest loss is known: a Markov chain, and targets that have nothing to do with the inputs. Batch k
-- is the same for every training of one seed.
local data = require 'data'
local torch = require 'torch'

local synthetic = {}

local VAL = 50 -- batches

-- Rows of ids, of a stream of its own for each batch; `first` keeps train and val apart.
local function drawn(o, first, index)
  local generator = torch.Generator((o.seed * 1000003 + first + index) % 2 ^ 53)
  return torch.randint(o.vocab, { 2, o.batch, o.seq }, { dtype = 'int64', generator = generator })
end

local function batches(o, count, get)
  return { count = count, rows = o.batch, targets = o.batch * o.seq, get = get }
end

local function custom(o, get, more)
  local train = batches(o, o.batches, function(i, epoch) return get(0, (epoch - 1) * o.batches + i) end)
  train.val = batches(o, VAL, function(i) return get(2 ^ 40, i) end)
  train.vocab_size = o.vocab
  for key, value in pairs(more) do train[key] = value end
  return data.custom(train)
end

---Inputs and targets drawn evenly and independently: nothing can be learnt, the floor is ln V.
---@param o { vocab: integer, batch: integer, seq: integer, batches: integer, seed: integer } batches: of an epoch
function synthetic.random(o)
  return custom(o, function(first, i)
    local both = drawn(o, first, i)
    return both[0], both[1]
  end, { floor_nats = math.log(o.vocab), learnable = false })
end

---A chain of order 1 whose rows are softmax(z / 0.5), z ~ N(0, 1).
---@param vocab integer
---@return Tensor p (V, V) float64
---@return number entropy_rate nats: the floor of a model's loss
function synthetic.chain(vocab)
  local generator = torch.Generator(20240607)
  local z = torch.randn({ vocab, vocab }, { dtype = 'float64', generator = generator })
  local p = (z / 0.5):softmax(1)
  local share = torch.full({ 1, vocab }, 1 / vocab, { dtype = 'float64' })
  for _ = 1, 200 do share = torch.matmul(share, p) end -- to its stationary distribution
  return p, -(share:t() * p * p:log()):sum():item()
end

---Text of such a chain.
---@param o { vocab: integer, batch: integer, seq: integer, batches: integer, seed: integer }
function synthetic.markov(o)
  local p, floor = synthetic.chain(o.vocab)
  local sums = p:cumsum(1)
  return custom(o, function(first, i)
    local generator = torch.Generator((o.seed * 1000003 + first + i) % 2 ^ 53)
    local u = torch.rand({ o.seq + 1, o.batch, 1 }, { dtype = 'float64', generator = generator })
    local ids = torch.zeros({ o.seq + 1, o.batch }, { dtype = 'int64' })
    ids[0] = (u[0]:squeeze(1) * o.vocab):long()
    for t = 1, o.seq do
      ids[t] = torch.searchsorted(sums:index_select(0, ids[t - 1]), u[t]):squeeze(1):clamp(0, o.vocab - 1)
    end
    return ids:narrow(0, 0, o.seq):t():contiguous(), ids:narrow(0, 1, o.seq):t():contiguous()
  end, { floor_nats = floor, shift = 1 })
end

return synthetic
