-- T-Score of one batch by itself: one forward and backward, against a backward for each sample; P3.
local harness = require 'benchmark.harness'
local char_rnn = require 'benchmark.char_rnn'

local workload = { summary = 'T-Score of one char-GRU batch, against 64 backward passes' }

-- measure(model, loss of rows x, y) is timed; the first `warmup` calls do not count.
local function timed(steps, warmup, measure)
  local times = {}
  for i = 1, warmup + steps do
    local seconds = harness.seconds(measure)
    if i > warmup then times[#times + 1] = seconds * 1e3 end
  end
  return times
end

function workload.run(context)
  local models, torch, tscore = require 'models', require 'torch', require 'tscore'
  torch.manual_seed(42)
  local model = models.char_rnn { vocab = char_rnn.VOCAB }
  local draw = function() return torch.randint(char_rnn.VOCAB, { char_rnn.BATCH, char_rnn.SEQ }) end
  local x, y = draw(), draw()
  local function loss(ids, targets)
    return torch.cross_entropy(model(ids):reshape(-1, char_rnn.VOCAB), targets:reshape(-1))
  end
  local function once(steps)
    return timed(steps, harness.WARMUP, function()
      -- Verification repeats the sums sample by sample; the trainer does it once in a run.
      torch.scope(function() tscore.measure(model, function() return loss(x, y) end, { verify = false }) end)
    end)
  end
  local function by_loop(steps)
    return timed(steps, 0, function()
      tscore.loop(model, char_rnn.BATCH, function(i) return loss(x:narrow(0, i, 1), y:narrow(0, i, 1)) end)
    end)
  end
  local rows = harness.interleave(context, {
    { name = 'one backward', run = once, flop = char_rnn.flop 'gru', peers = { 'tscore' } },
    { name = "64 backwards, mode 'loop'", run = by_loop, steps = 1, peers = { 'tscore' } },
  })
  return { rows = rows, bars = {
    harness.bar('P3', 'PyTorch by 64 backwards / ours', rows[1].ratio, { accept = 35, aim = 50 }),
  }, notes = { ('our own 64 backwards / one: %.1f'):format(rows[2].ours_ms / rows[1].ours_ms) } }
end

return workload
