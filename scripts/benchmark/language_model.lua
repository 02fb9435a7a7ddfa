-- A training step of a language model on random tokens as a case of `runner bench`: AdamW, the loss is read at each
-- step.
local harness = require 'benchmark.harness'
local data = require 'data'
local optim = require 'optim'
local torch = require 'torch'

local language_model = {}

---A function of the number of steps that trains a new model and gives each step's time in ms, without the warm-up.
---@param o { build: (fun(): Module), vocab: integer, rows: integer, seq: integer, select: table?, sections: table? }
---@return fun(steps: integer): number[]
function language_model.steps(o)
  return function(steps)
    torch.manual_seed(42)
    local function draw() return torch.randint(o.vocab, { o.rows * 4, o.seq }) end
    local train = data.tensors({ x = draw(), y = draw(), batch = o.rows }).train
    local model = o.build()
    local optimizer = optim.AdamW(model, { lr = 1e-3, weight_decay = 0.01 })
    if o.select then optim.select(optimizer, model, o.select) end
    return harness.step_times({ model = model, train = train, optimizer = optimizer }, steps, o.sections)
  end
end

---FLOP of a step of blocks with attention, 2 for a multiply-add, the backward twice the forward: products with
---weights, and scores and mixtures of attention over all pairs.
---@param tokens integer
---@param seq integer
---@param width integer
---@param feedforward integer
---@param blocks integer
---@param vocab integer
---@return number
function language_model.flop(tokens, seq, width, feedforward, blocks, vocab)
  local block = 4 * width * width + 2 * width * feedforward + 2 * seq * width
  return 3 * 2 * tokens * (blocks * block + vocab * width)
end

return language_model
