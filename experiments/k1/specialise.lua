-- specialise: do leaves specialise by domain, or by the time at which they were trained? Three domains, and three controls of time.
local experiment, data, k1 = require 'experiment', require 'data', require 'k1'
local selection_report = require 'selection_report'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' }, { corpus = 'python_code' }, { corpus = 'kjv' } }, batch = 16, seq = 64,
    batches = 2000 },
  model = { branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0), forward = 'level_mean' },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  select = { rule = 'path' },
  train = { epochs = 1, seed = 42 },
  eval = { val_cap = 50 },
}

local texts = cfg.domains.texts
local function named(text, name)
  if type(text) == 'string' then text = { file = text } end
  return { file = text.file, corpus = text.corpus, bytes = text.bytes, name = name }
end
local reversed, again = {}, {}
for i = #texts, 1, -1 do reversed[#reversed + 1] = texts[i] end
for i = 1, #texts do again[i] = named(texts[1], 'time ' .. i) end

local settings = {
  { 'three domains, one after the other', texts, false },
  { 'one domain under three labels', again, false },
  { 'three domains in turn', texts, true },
  { 'three domains in reverse', reversed, false },
}
local shares = {}
for s, setting in ipairs(settings) do
  local d = {}
  for key, value in pairs(cfg.domains) do d[key] = value end
  d.texts, d.interleaved = setting[2], setting[3]
  local text = data.domains(d)
  local numbers, fit = k1.train(cfg, text, { seed = cfg.train.seed, select = cfg.select })
  local rows, specialists, weighted, counted = selection_report.specialists(fit.selection.blocks, #setting[2]), 0, 0, 0
  print(('\n%s: information of domain and leaf %.4f nats'):format(setting[1], numbers.information or 0 / 0))
  print('leaf  domain            share  selected      p')
  for _, row in ipairs(rows) do
    if row.count > 0 then
      print(('%4d  %-16s %5.1f %%  %8d  %.3f%s'):format(row.leaf, text.names[row.domain], 100 * row.share, row.count, row.p,
        row.specialist and '  specialist' or ''))
      weighted, counted = weighted + row.share * row.count, counted + row.count
    end
    specialists = specialists + (row.specialist and 1 or 0)
  end
  shares[s] = { weighted / counted, specialists }
end
print(('\nFound: the mean share of a leaf\'s largest domain is %.1f %% (%d specialists) for domains one after the other, %.1f %% (%d) for '
  .. 'one domain under three labels, %.1f %% (%d) for domains in turn: %s.'):format(100 * shares[1][1], shares[1][2], 100 * shares[2][1],
  shares[2][2], 100 * shares[3][1], shares[3][2], shares[1][1] - shares[2][1] > 0.1 and 'more than time alone explains, from one seed'
  or 'no more than time alone explains'))
