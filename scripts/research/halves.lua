-- The published test of forgetting: the two halves of tiny Shakespeare, five passes each, as 64 streams, the loss on
-- the first ten train batches. With the published sleep no update is ever made; the guards that would end that are off.
local data = require 'data'
local models = require 'models'
local options = require 'options'
local published = require 'research.published'
local torch = require 'torch'
local train = require 'train'

local halves = {}

local function fit_half(cfg, text, extra)
  local m = cfg.model
  torch.manual_seed(cfg.train.seed)
  local model = models.char_rnn { vocab = text.vocab_size, embed = m.embed, hidden = m.hidden, layers = m.layers }
  local callbacks = { { 'domain_matrix', on = 'train', batches = 10 } }
  callbacks[2] = extra.sleep
  return train.fit { model = model, data = text, optim = cfg.optim, options = cfg.train, callbacks = callbacks,
    eval = { off = true }, tscore = extra.tscore, guards = extra.guards }
end

local function row(what, ours, theirs, tolerance)
  return { what = what, ours = ours, theirs = theirs, tag = 'measured', tolerance = tolerance }
end

---Trains both and prints the comparison.
---@param cfg table of experiments/godelai/forgetting_ab.lua
---@param current table experiment.current()
function halves.run(cfg, current)
  local text = data.domains(options.with(cfg.domains, { train = 1, val = 0 }))
  local naive = fit_half(cfg, text, {})
  local slept = fit_half(cfg, text, { tscore = { every = 1, compat = 'v1.1' },
    sleep = { 'sleep', below = 0.935, compat = 'v1.1' }, guards = { skipped_updates = 'off', no_learning = 'off' } })
  local a, b = naive.domains_train, slept.domains_train
  local other = published.difference(current, text.info[1].sha256)
  if other then
    print(('not the published configuration (%s): its numbers are left out'):format(other))
    return
  end
  local rows = {}
  for pass, theirs in ipairs { 2.3909, 1.7487, 1.5568, 1.4636, 1.4053 } do
    rows[pass] = row('naive, phase 1, pass ' .. pass, naive.passes[1][pass], theirs, pass <= 2 and 0.003 or 0.02)
  end
  rows[#rows + 1] = row('naive, A after A', a[2][1], 1.38549, 0.01)
  rows[#rows + 1] = row('naive, A after B', a[3][1], 1.45964, 0.01)
  rows[#rows + 1] = row('naive, B after B', a[3][2], 1.30011, 0.01)
  rows[#rows + 1] = row('naive, forgetting', a[3][1] - a[2][1], 0.07415, 0.02)
  rows[#rows + 1] = row('sleep, A after A', b[2][1], 4.16929, 0.02)
  rows[#rows + 1] = row('sleep, A after B', b[3][1], 4.16794, 0.02)
  rows[#rows + 1] = row('sleep, B after B', b[3][2], 4.16771, 0.02)
  rows[#rows + 1] = { what = 'sleeps', ours = slept.sleep.sleeps, theirs = 860, tag = 'measured', tolerance = 0,
    digits = 0 }
  local off = published.print(rows)
  print(('\nFound: %s; with the sleep the losses end %.4f and %.4f from ln V = %.4f, that of guessing.'):format(off == 0
    and 'all published numbers, within their tolerances'
    or ('%d of %d published numbers are further off than their tolerance'):format(off, #rows),
    b[3][1] - math.log(text.vocab_size), b[3][2] - math.log(text.vocab_size), math.log(text.vocab_size)))
end

return halves
