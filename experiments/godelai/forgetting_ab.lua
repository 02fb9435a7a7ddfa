-- forgetting_ab: two halves of a text one after the other: what each cure of forgetting keeps, and what it costs.
-- published=true trains the published halves instead, naive and with the published sleep, beside their numbers.
local data, experiment, forgetting = require 'data', require 'experiment', require 'research.forgetting'
local halves, models = require 'research.halves', require 'models'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare', from = 0, to = 0.5 },
    { corpus = 'tinyshakespeare', from = 0.5, to = 1 } }, batch = 64, seq = 100, order = 'streams', passes = 5,
    train = 0.9, val = experiment.number(0.1), allow_leak = true },
  model = { embed = 128, hidden = 256, layers = 2 },
  optim = { name = 'adam', lr = 2e-3 },
  train = { epochs = 1, seed = 42 },
  eval = { off = true }, -- the matrix is the eval
  -- costs: of an update beside the first mode's, from `wall s` of an earlier run (replay: 18.4 s beside 13.1 with
  -- domains.passes=1, on two cores): such modes train once more, with as much time as the first.
  compare = { seeds = { 42, 43, 44 }, costs = { replay = 1.4 }, modes = { 'naive', 'joint', 'frozen', 'ewc',
    'ewc_scaled', 'ewc_layer', 'ewc_dr', 'l2', 'sleep', 'replay', 'slow' } },
  cures = forgetting.DEFAULTS,
  published = false,
}

local modes = forgetting.with_equal_time(cfg.compare.modes, cfg.compare.costs)
forgetting.check_modes(modes)
if cfg.published then return halves.run(cfg, experiment.current()) end

local text, m = data.domains(cfg.domains), cfg.model
local result = forgetting.run { data = text, seeds = cfg.compare.seeds, modes = modes, optim = cfg.optim,
  options = cfg.cures, train = cfg.train, eval = cfg.eval,
  matrix = { 'domain_matrix', { 'domain_matrix', on = 'train', batches = 10 } },
  build = function()
    return models.char_rnn { vocab = text.vocab_size, embed = m.embed, hidden = m.hidden, layers = m.layers }
  end }
forgetting.print(result)
