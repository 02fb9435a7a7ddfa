-- The char-RNN training step as a case of `runner bench`: 64 rows of 100 characters, embedding 128, two layers of
-- 256, a head of 65, Adam; the loss is read at each step.
local harness = require 'benchmark.harness'
local data = require 'data'
local fit_report = require 'fit.report'
local models = require 'models'
local native = require 'lanthorn'
local optim = require 'optim'
local torch = require 'torch'

local char_rnn = { BATCH = 64, SEQ = 100, VOCAB = 65 }

-- Precisions a step is timed in, and the peers (a suffix of the cell's name in peer.py) of which the fastest counts:
-- PyTorch in fp32, and where rounding to bf16 is allowed its bf16 autocast too.
local PRECISIONS = { { name = 'fp32', peers = { '' } }, { name = 'fp32_split', peers = { '' } },
  { name = 'bf16', peers = { '', '_bf16' } } }

-- Multiply-adds of the forward are 2 FLOP each, the backward is twice the forward; the lookup costs nothing.
local GATES = { gru = 3, lstm = 4 }

---Nominal FLOP of one training step.
---@param cell string
---@return number
function char_rnn.flop(cell)
  local tokens, embed, hidden = char_rnn.BATCH * char_rnn.SEQ, 128, 256
  local gates = GATES[cell] * hidden
  local weights = gates * (embed + hidden) + gates * (hidden + hidden) + hidden * char_rnn.VOCAB
  return 3 * 2 * tokens * weights
end

local batches -- the same for every case, so that they differ in nothing else

local function make_batches()
  torch.manual_seed(42)
  local rows = char_rnn.BATCH * 8
  local draw = function() return torch.randint(char_rnn.VOCAB, { rows, char_rnn.SEQ }) end
  return data.tensors { x = draw(), y = draw(), batch = char_rnn.BATCH }.train
end

local function random_batches()
  batches = batches or make_batches()
  return batches
end

---A function of the number of steps that trains a new model and gives each step's time in ms, without the warm-up.
---@param cell string "gru" or "lstm"
---@param given table? sections of the trainer's options, such as { tscore = { every = 1 } }
---@return fun(steps: integer): number[]
function char_rnn.steps(cell, given)
  return function(steps)
    local train = random_batches()
    local model = models.char_rnn { vocab = char_rnn.VOCAB, cell = cell }
    return harness.step_times({ model = model, train = train, optimizer = optim.Adam(model, { lr = 2e-3 }) }, steps,
      given)
  end
end

local function case(cell, precision, name, tscore_every)
  local sections, peers = { train = { precision = precision.name }, tscore = { every = tscore_every } }, {}
  for i, suffix in ipairs(precision.peers) do peers[i] = cell .. suffix end
  return { name = name, precision = precision.name, run = char_rnn.steps(cell, sections), flop = char_rnn.flop(cell),
    peers = peers }
end

---Two cases for each precision that the CPU computes in, fp32 first: a training step without and with T-Score of all
---samples. Emulation is never timed, since nobody trains with it for speed.
---@param cell string
---@param missing fun(precision: string): string? why the CPU cannot compute in it
---@param bf16 string what oneDNN multiplies bf16 with, of diagnostics.libraries(); "none" where it converts up to fp32
---@return table[] cases
---@return string[] notes one line about the precisions that are left out, or that are slow here, if any
function char_rnn.cases(cell, missing, bf16)
  local cases, absent, notes = {}, {}, {}
  for _, precision in ipairs(PRECISIONS) do
    if missing(precision.name) then
      absent[#absent + 1] = precision.name
    else
      cases[#cases + 1] = case(cell, precision, 'no T-Score', 0)
      cases[#cases + 1] = case(cell, precision, 'T-Score of all 64', 1)
    end
  end
  if #absent > 0 then
    notes[1] = ('not timed in %s: this CPU has no bf16 products that oneDNN can use'):format(table.concat(absent, ', '))
  end
  if bf16 == 'none' and not missing 'bf16' then
    notes[#notes + 1] = 'bf16 products are slow here: oneDNN uses neither AVX512_BF16 nor AMX and converts up to fp32'
  end
  return cases, notes
end

---Times these cases.
---@param context table
---@param cell string
---@return table[] rows
---@return table by_precision name -> { plain = row, tscore = row,
---cost = with / without }; no entry for what the CPU lacks
---@return string[] notes
function char_rnn.measure(context, cell)
  local cases, notes = char_rnn.cases(cell, native.diagnostics.missing_precision,
    native.diagnostics.libraries().bf16)
  local train = random_batches()
  notes[#notes + 1] = fit_report.batches(train:count(), train:inspect())
  local rows, by_precision = harness.interleave(context, cases), {}
  for i = 1, #rows, 2 do
    local plain, tscore = rows[i], rows[i + 1]
    by_precision[plain.precision] = { plain = plain, tscore = tscore,
      cost = harness.ratio(tscore.ours_ms, plain.ours_ms) }
  end
  return rows, by_precision, notes
end

return char_rnn
