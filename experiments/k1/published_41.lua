-- published_41: the published model (41 nodes, words, three texts in order) under masked path updates: which leaves
-- come to be selected for which text? As published: select.rule=published loss.compat=t_plus_2.
local experiment, data = require 'experiment', require 'data'
local k1, selection = require 'research.k1', require 'fit.selection'
local fail, selection_report = require 'fail', require 'research.selection_report'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' }, { corpus = 'python_code' }, { corpus = 'kjv' } },
    words = 10000, batch = 64, seq = 32, batches = 10000,
    allow_leak = true }, -- python_code says again in its val split what it said in train
  model = { branching = { 4, 3, 2 }, d_model = 128, heads = 4, ff = 256, dropout = 0.1, forward = 'level_mean' },
  optim = { name = 'adamw', lr = 3e-4, weight_decay = 0.01, clip_norm = 1 },
  select = { rule = 'path' },
  train = { epochs = 1, seed = 42 },
  eval = { val_cap = 20 },
  loss = { compat = 'none' }, -- t_plus_2: the published loss, of the token after the next
}
if cfg.loss.compat ~= 'none' and cfg.loss.compat ~= 't_plus_2' then
  fail.config("loss.compat is '%s', expected none or t_plus_2", cfg.loss.compat)
end

local text = data.domains(cfg.domains)
local numbers, fit, model = k1.train(cfg, text, { seed = cfg.train.seed, select = cfg.select,
  callbacks = { 'domain_matrix' }, loss = cfg.loss.compat == 't_plus_2' and k1.t_plus_2 or nil })
print(('%d parameters, vocabulary %d (published: 10,000 and 8,010,128 at 64 tokens)')
  :format(model:parameter_count(), text.vocab_size))
print(table.concat(selection.node_lines(fit.selection.report), '\n'))
local specialists = 0
for _, row in ipairs(selection_report.specialists(fit.selection.blocks, #text.names)) do
  if row.specialist then
    specialists = specialists + 1
    print(('leaf %d: %s, %.1f %% of %d selections')
      :format(row.leaf, text.names[row.domain], 100 * row.share, row.count))
  end
end
local touched = numbers.touched_pct and ('%.1f %%'):format(numbers.touched_pct) or 'NA'
print(('Found: %d leaves are selected for one text more than chance explains '
  .. '(no control of time here: see specialise.lua); touched %s, effective %.1f %% of all parameters.')
  :format(specialists, touched, numbers.effective_pct))
