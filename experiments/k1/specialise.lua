-- specialise: do leaves specialise by domain, or by the time at which they were trained? Three domains, and three controls of time.
local arms, experiment, data, k1 = require 'arms', require 'experiment', require 'data', require 'k1'
local selection_report, statistics = require 'selection_report', require 'statistics'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' }, { corpus = 'python_code' }, { corpus = 'kjv' } }, batch = 16, seq = 64,
    allow_leak = true, -- python_code says again in its val split what it said in train: a tenth of it
    batches = 700 },
  model = { branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0), forward = 'level_mean' },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  select = { rule = 'path' },
  train = { epochs = 1 },
  eval = { val_cap = 50 },
  compare = { seeds = { 1, 2, 3 }, drop_batches = 10 },
}

local texts = cfg.domains.texts
local function named(text, name)
  if type(text) == 'string' then text = { file = text } end
  return { file = text.file, corpus = text.corpus, bytes = text.bytes, name = name }
end
local reversed, again = {}, {}
for i = #texts, 1, -1 do reversed[#reversed + 1] = texts[i] end
for i = 1, #texts do again[i] = named(texts[1], 'time ' .. i) end

-- Leaves as lines of text, and what the table over seeds wants to know of them.
local function describe(rows, text, numbers)
  local lines, weighted, chance, counted = { 'leaf  domain            share  by chance  selected      p' }, 0, 0, 0
  numbers.specialists = 0
  for _, row in ipairs(rows) do
    if row.count > 0 then
      local by_chance = selection_report.chance_share(#text.names, row.count)
      lines[#lines + 1] = ('%4d  %-16s %5.1f %%    %5.1f %%  %8d  %.3f%s'):format(row.leaf, text.names[row.domain], 100 * row.share,
        100 * by_chance, row.count, row.p, row.specialist and '  specialist' or '')
      weighted, chance, counted = weighted + row.share * row.count, chance + by_chance * row.count, counted + row.count
    end
    numbers.specialists = numbers.specialists + (row.specialist and 1 or 0)
  end
  numbers.share_pct, numbers.chance_pct = 100 * weighted / counted, 100 * chance / counted
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
  if #lines == 1 then lines[2] = '      there is none' end
  return lines
end

local shown = {} -- setting -> lines of its last seed
local function setting(name, of_texts, interleaved, causal)
  return { name, function(seed)
    local d = {}
    for key, value in pairs(cfg.domains) do d[key] = value end
    d.texts, d.interleaved, d.seed = of_texts, interleaved, d.seed or seed
    local text = data.domains(d)
    local numbers, fit, model = k1.train(cfg, text, { seed = seed, select = cfg.select })
    local rows = selection_report.specialists(fit.selection.blocks, #of_texts)
    shown[name] = describe(rows, text, numbers)
    if causal and #of_texts > 1 then
      for _, line in ipairs(causal_lines(model, text, rows, fit.selection.report)) do table.insert(shown[name], line) end
    end
    return numbers
  end }
end

local TIME = 'one domain under several labels'
local result = arms.run { seeds = cfg.compare.seeds, baseline = TIME, arms = { setting(TIME, again, false),
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
  or ('No claim that leaves specialise by domain: that needs a larger share than time alone gives in all %d orders, here %d.'):format(
    #result.arms - 1, claimed))
