-- specialise: do leaves specialise by domain, or by the time at which they were trained? With three controls of time.
local arms, experiment, data, k1 = require 'arms', require 'experiment', require 'data', require 'research.k1'
local fail, selection_report, statistics = require 'fail', require 'research.selection_report', require 'statistics'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' }, { corpus = 'python_code' }, { corpus = 'kjv' } },
    batch = 16, seq = 64,
    allow_leak = true, -- python_code says again in its val split what it said in train: a tenth of it
    batches = 700 },
  model = { branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0),
    forward = 'level_mean' },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  select = { rule = 'path' },
  train = { epochs = 1 },
  eval = { val_cap = 50 },
  compare = { seeds = { 1, 2, 3 }, drop_batches = 10 },
}

local texts = cfg.domains.texts
if cfg.domains.phases then
  fail.config('domains.phases has no effect here: each text comes once, in the order of the arm')
end
if cfg.domains.batches < 1 then
  fail.config('domains.batches is %d, expected at least 1: a leaf has equal shares by chance only where every text '
    .. 'has as many batches', cfg.domains.batches)
end
local function named(text, name)
  if type(text) == 'string' then text = { file = text } end
  return { file = text.file, corpus = text.corpus, bytes = text.bytes, name = name }
end
local reversed, again = {}, {}
for i = #texts, 1, -1 do reversed[#reversed + 1] = texts[i] end
-- The control trains on one text alone, but has the vocabulary of all: a seed draws the same weights in every arm.
local phases_of_time = {}
for i = 1, #texts do again[i], phases_of_time[i] = named(texts[1], 'time ' .. i), i end
for i = 2, #texts do again[#again + 1] = texts[i] end

-- Leaves as lines of text, and what the table over seeds wants to know of them.
local function describe(rows, text, histogram, numbers)
  local lines = { 'leaf  domain            share  by chance      p  selected, for each domain' }
  local weighted, chance, counted = 0, 0, 0
  numbers.specialists = 0
  for _, row in ipairs(rows) do
    if row.count > 0 then
      local by_chance, counts = selection_report.chance_share(#texts, row.count), {}
      for d = 1, #texts do counts[d] = ('%g'):format(histogram[d][row.leaf]) end
      lines[#lines + 1] = ('%4d  %-16s %5.1f %%    %5.1f %%  %.3f  %8d = %s%s'):format(row.leaf,
        text.names[row.domain], 100 * row.share, 100 * by_chance, row.p, row.count, table.concat(counts, ' + '),
        row.specialist and '  specialist' or '')
      weighted, chance, counted = weighted + row.share * row.count, chance + by_chance * row.count, counted + row.count
    end
    numbers.specialists = numbers.specialists + (row.specialist and 1 or 0)
  end
  if counted > 0 then numbers.share_pct, numbers.chance_pct = 100 * weighted / counted, 100 * chance / counted end
  return lines
end

-- Does the model need a specialist for its domain? The loss of every domain without it, less that with it.
local function causal_lines(model, text, rows, report)
  local leaves, lines = {}, { 'loss change when a specialist is left out' }
  for _, node in ipairs(report.nodes) do
    if node.leaf then leaves[#leaves + 1] = node end
  end
  model:eval()
  for _, row in ipairs(rows) do
    if row.specialist then
      local cells = {}
      for d, name in ipairs(text.names) do
        local val = text:val_of(d)
        local function loss()
          local values = {}
          for b = 0, math.min(cfg.compare.drop_batches, val:count()) - 1 do
            local x, y = val:get(b)
            values[b + 1] = k1.loss_of(model, x, y):item()
          end
          return statistics.mean(values)
        end
        local without = k1.loss_without(model, leaves[row.leaf], report, loss)
        cells[d] = ('%s %+.4f'):format(name, without - loss())
      end
      lines[#lines + 1] = ('%4d  %s: %s'):format(row.leaf, text.names[row.domain], table.concat(cells, ', '))
    end
  end
  if #lines == 1 then lines[2] = '      none' end
  return lines
end

-- Blocks of updates for each domain; with fewer of them no order of their labels is rare enough for p < 0.01.
local LEAST_BLOCKS = 4
local shown = {} -- setting -> lines of its last seed
local function setting(name, of_texts, interleaved, causal, phases)
  return { name, function(seed)
    local d = {}
    for key, value in pairs(cfg.domains) do d[key] = value end
    d.texts, d.interleaved, d.phases, d.seed = of_texts, interleaved, phases, d.seed or seed
    local text = data.domains(d)
    local numbers, fit, model = k1.train(cfg, text, { seed = seed, select = cfg.select })
    local blocks, report = fit.selection.blocks, fit.selection.report
    local rows = selection_report.specialists(blocks, #of_texts)
    shown[name] = describe(rows, text, report.histogram, numbers)
    if #blocks < LEAST_BLOCKS * #texts then
      table.insert(shown[name], ('%d blocks of updates are too few for a leaf to be called a specialist: '
        .. 'make phases longer, or select.log_every smaller'):format(#blocks))
    end
    if causal and #texts > 1 then
      for _, line in ipairs(causal_lines(model, text, rows, report)) do table.insert(shown[name], line) end
    end
    return numbers
  end }
end

local TIME = 'one domain under several labels'
local result = arms.run { seeds = cfg.compare.seeds, baseline = TIME, arms = {
  setting(TIME, again, false, false, phases_of_time),
  setting('domains one after the other', texts, false, true), setting('domains in turn', texts, true),
  setting('domains in reverse', reversed, false) } }
for _, arm in ipairs(result.arms) do
  print(('%s, seed %d\n%s\n'):format(arm.name, result.seeds[#result.seeds], table.concat(shown[arm.name], '\n')))
end
arms.print(result, { { 'share_pct', "share of a leaf's largest domain, %" }, { 'chance_pct', 'by chance, %' },
  { 'specialists', 'specialists' }, { 'information', 'information, nats' } })
print('\n' .. arms.finding(result, 'share_pct', "share of a leaf's largest domain"))
-- By domain means: more than time alone does, in whatever order the domains come.
local claimed = 0
for _, d in ipairs(arms.differences(result, 'share_pct')) do claimed = claimed + (d.verdict == 'higher' and 1 or 0) end
print(claimed == #result.arms - 1 and 'Leaves specialise by domain: in all three orders more than by time alone.'
  or ('No claim that leaves specialise by domain: that needs a larger share than time alone gives in all %d orders, '
    .. 'here %d.'):format(#result.arms - 1, claimed))
