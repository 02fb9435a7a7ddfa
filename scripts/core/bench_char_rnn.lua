-- The char-RNN training step as a case of `runner bench`: 64 rows of 100 characters, embedding 128, two layers of 256, a
-- head of 65, Adam; the loss is read at each step.
local bench = require 'bench'
local data = require 'data'
local models = require 'models'
local native = require 'lanthorn'
local optim = require 'optim'
local torch = require 'torch'

local bench_char_rnn = { BATCH = 64, SEQ = 100, VOCAB = 65 }

-- Multiply-adds of the forward are 2 FLOP each, the backward is twice the forward; the lookup costs nothing.
local GATES = { gru = 3, lstm = 4 }

---Nominal FLOP of one training step.
---@param cell string
---@return number
function bench_char_rnn.flop(cell)
  local tokens, embed, hidden = bench_char_rnn.BATCH * bench_char_rnn.SEQ, 128, 256
  local weights = GATES[cell] * hidden * (embed + hidden) + GATES[cell] * hidden * (hidden + hidden) + hidden * bench_char_rnn.VOCAB
  return 3 * 2 * tokens * weights
end

local batches -- the same for every case, so that they differ in nothing else

local function random_batches()
  torch.manual_seed(42)
  local rows = bench_char_rnn.BATCH * 8
  local draw = function() return torch.randint(bench_char_rnn.VOCAB, { rows, bench_char_rnn.SEQ }) end
  return data.tensors { x = draw(), y = draw(), batch = bench_char_rnn.BATCH }.train
end

---A function of the number of steps that trains a new model and gives each step's time in ms, without the warm-up.
---@param cell string "gru" or "lstm"
---@param given table? options of the trainer, such as { tscore_every = 1 }
---@return fun(steps: integer): number[]
function bench_char_rnn.steps(cell, given)
  return function(steps)
    batches = batches or random_batches()
    local times, epochs = {}, math.ceil((steps + bench.WARMUP) / batches:count())
    local model = models.char_rnn { vocab = bench_char_rnn.VOCAB, cell = cell }
    local options = { max_steps = steps + bench.WARMUP, epochs = epochs, eval = false }
    for key, value in pairs(given or {}) do options[key] = value end
    local trainer = native.train.new { model = model, train = batches, optimizer = optim.Adam(model, { lr = 2e-3 }), options = options }
    trainer:on_step(1, function(record)
      if record.step > bench.WARMUP then times[#times + 1] = record.step_ms end
    end)
    trainer:run()
    trainer:close()
    return times
  end
end

---Rows of a training step without and with T-Score of all samples, and the ratio of both.
---@param context table
---@param cell string
---@return table[] rows, number? ratio
function bench_char_rnn.measure(context, cell)
  local flop = bench_char_rnn.flop(cell)
  local rows = bench.interleave(context, {
    { name = 'no T-Score', run = bench_char_rnn.steps(cell), flop = flop, peers = { cell } },
    { name = 'T-Score of all 64', run = bench_char_rnn.steps(cell, { tscore_every = 1 }), flop = flop, peers = { cell } },
  })
  return rows, bench.ratio(rows[2].ours_ms, rows[1].ours_ms)
end

return bench_char_rnn
