-- A training step of a language model on random tokens as a case of `runner bench`: AdamW, the loss is read at each
-- step; and of transformer blocks in each precision.
local harness = require 'benchmark.harness'
local data = require 'data'
local native = require 'lanthorn'
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

-- Precisions a step is timed in, and the suffixes of its peers in peer.py of which the fastest counts.
local PRECISIONS = { { name = 'fp32', peers = { '' } }, { name = 'bf16', peers = { '', '_bf16' } } }

---Times the steps of a model of transformer blocks without and with T-Score of all samples, in each precision that
---gains on this CPU.
---@param context table
---@param o { peer: string, flop: number, build: (fun(): Module), vocab: integer, rows: integer, seq: integer }
---@return table[] rows
---@return table by_precision name -> { plain = row, tscore = row }; no entry for what gains nothing
---@return string[] notes why bf16 is left out
function language_model.measure(context, o)
  local missing = native.diagnostics.missing_pairs()
  local cases, by_precision = {}, {}
  for _, precision in ipairs(PRECISIONS) do
    if precision.name == 'fp32' or not missing then
      local peers = {}
      for i, suffix in ipairs(precision.peers) do peers[i] = o.peer .. suffix end
      for _, every in ipairs { 0, 1 } do
        cases[#cases + 1] = { name = every == 0 and 'no T-Score' or ('T-Score of all %d'):format(o.rows),
          precision = precision.name, flop = o.flop, peers = peers, run = language_model.steps { build = o.build,
            vocab = o.vocab, rows = o.rows, seq = o.seq,
            sections = { train = { precision = precision.name }, tscore = { every = every } } } }
      end
    end
  end
  local rows = harness.interleave(context, cases)
  for i = 1, #rows, 2 do by_precision[rows[i].precision] = { plain = rows[i], tscore = rows[i + 1] } end
  return rows, by_precision, missing and { 'not timed in bf16: ' .. missing } or {}
end

---The bar of T-Score's cost.
---@param by table of language_model.measure
function language_model.cost_bar(by)
  local of = by.fp32
  return harness.bar('P9', 'with T-Score / without', harness.ratio(of.tscore.ours_ms, of.plain.ours_ms),
    { accept = 1.10, aim = 1.04, less = true })
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
