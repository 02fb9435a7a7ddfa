-- ab_mini: ten updates on 5,000 characters, where T is low enough for the published sleep; and the parts of a sleep.
local data, experiment, models = require 'data', require 'experiment', require 'models'
local published, sleep_arms = require 'research.published', require 'research.sleep_arms'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', chars = 5000, batch = 32, seq = 100, stride = 100, split = 0.9,
    drop_last = true },
  model = { embed = 64, hidden = 128, layers = 2 },
  optim = { name = 'adam', lr = 2e-3 },
  train = { epochs = 10, seed = 42 },
  eval = { off = true }, -- 500 characters are no val batch
  tscore = { every = 1 },
  -- So short a training has no room for the limits of a sleep. It begins behind the first update, as published: there T
  -- was measured at each epoch's end, which is T of the update behind it.
  sleep = { below = 0.3, start_after = experiment.number(1), cooldown = 0, max_share = 1 },
  compare = { seeds = { 42, 43, 44 }, arms = { 'standard', 'sleep', 'v1.1', 'prune', 'decay', 'noise', 'random',
    'skipped' } },
}

local text, m = data.text(cfg.data), cfg.model
local probes = {} -- T behind each update, of the first arm
local result, fits = sleep_arms.run { data = text, seeds = cfg.compare.seeds, arms = cfg.compare.arms,
  sleep = cfg.sleep, optim = cfg.optim, train = cfg.train, tscore = cfg.tscore, eval = cfg.eval,
  callbacks = function()
    local probe = require 'callbacks.tscore' { batches = 1 }
    probes[#probes + 1] = probe
    return { probe }
  end,
  build = function()
    return models.char_rnn { vocab = text.vocab_size, embed = m.embed, hidden = m.hidden, layers = m.layers }
  end }
sleep_arms.print(result, 'train_loss')

local standard, slept = fits.standard, fits.sleep
local other = published.difference(experiment.current(), text.sha256)
  or result.seeds[1] ~= 42 and 'compare.seeds' or nil
if other or not standard or not slept then
  return print(('not the published configuration (%s): its numbers are left out'):format(other or 'compare.arms'))
end
local THEIRS = { .266, .240, .231, .295, .536, .349, .421, .711, .800, .669 } -- T behind each update
local rows = {
  { what = 'standard, first update', ours = standard.epochs[1].train_loss, theirs = 3.9666, tag = 'measured',
    tolerance = 0.12 },
  { what = 'standard, last update', ours = standard.epochs[10].train_loss, theirs = 3.1848, tag = 'measured',
    tolerance = 0.12 },
  { what = 'sleep, last update', ours = slept.epochs[10].train_loss, theirs = 3.1953, tag = 'measured',
    tolerance = 0.12 },
  { what = 'sleeps', ours = slept.sleep.sleeps, theirs = 4, tag = 'measured', tolerance = 0, digits = 0 },
}
for epoch, t in ipairs(THEIRS) do
  rows[#rows + 1] = { what = 'T behind update ' .. epoch, ours = probes[1].history[epoch], theirs = t, tag = 'measured',
    tolerance = 0.02, digits = 3 }
end
print ''
published.print(rows)
