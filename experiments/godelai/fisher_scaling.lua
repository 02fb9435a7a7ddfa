-- fisher_scaling: is it the scaling of the Fisher values, or their strength? Raw and scaled consolidation on one axis.
-- With one earlier task `scaled` of strength c is `raw` of c / F_max, so both are points of the axis c.
local arms, data, experiment = require 'arms', require 'data', require 'experiment'
local forgetting, models = require 'research.forgetting', require 'models'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare', from = 0, to = 20000, name = 'first' },
    { corpus = 'python_code', from = 0, to = 80000, name = 'second' } }, batch = 8, seq = 64, order = 'streams',
    passes = 5, train = 0.9, val = experiment.number(0.1), allow_leak = true },
  model = { embed = 128, hidden = 128, layers = 2 },
  optim = { name = 'adam', lr = 2e-3 },
  train = { epochs = 1, seed = 42 },
  eval = { off = true },
  compare = { seeds = { 1, 2, 3 }, scaled = { 0.1, 0.5, 2, 10, 50, 250 }, raw = { 0.4 }, l2 = { 0.001, 0.01, 0.1 } },
  cures = forgetting.DEFAULTS,
}

local modes = { 'naive' }
for _, strength in ipairs(cfg.compare.raw) do
  modes[#modes + 1] = { ('raw %g'):format(strength), 'ewc', ewc = strength }
end
for _, strength in ipairs(cfg.compare.scaled) do
  modes[#modes + 1] = { ('scaled %g'):format(strength), 'ewc_scaled', ewc_scaled = strength }
end
for _, strength in ipairs(cfg.compare.l2) do -- every weight alike: the control for F
  modes[#modes + 1] = { ('l2 %g'):format(strength), 'l2', l2 = strength }
end

local text, m = data.domains(cfg.domains), cfg.model
local function build()
  return models.char_rnn { vocab = text.vocab_size, embed = m.embed, hidden = m.hidden, layers = m.layers }
end
-- F and an anchor are two numbers of 4 bytes a weight; a row is two times `seq` characters, a byte each.
local rows = math.floor(build():parameter_count() * 8 / (2 * cfg.domains.seq))
modes[#modes + 1] = { 'replay of as many bytes', 'replay', memory = rows }
modes[#modes + 1] = 'slow'
local result = forgetting.run { data = text, seeds = cfg.compare.seeds, modes = modes, optim = cfg.optim,
  options = cfg.cures, train = cfg.train, eval = cfg.eval, build = build }
arms.print(result, { { 'final_mean', 'final mean' }, { 'forgetting', 'forgetting' }, { 'last_task', 'second text' },
  { 'axis', 'c = lambda F_max' } })
arms.print_differences(result, 'forgetting', 'forgetting')
print('\n' .. arms.finding(result, 'final_mean', 'final mean loss'))
print(arms.finding(result, 'forgetting', 'forgetting'))
print 'Published [measured], private texts: forgetting none .23208, raw .4 .23203, scaled 2.0 .15901, while the loss on'
print 'the second text rose from 1.5621 to 1.8850; the mean of both from 1.963 to 2.088 [derived].'
