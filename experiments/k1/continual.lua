-- continual: what does a model keep of earlier texts? A tree with path updates and with all, its dense twin, elastic
-- weight consolidation and replay.
local arms, experiment, data, k1 = require 'arms', require 'experiment', require 'data', require 'research.k1'
local continual, fail, plasticity = require 'research.continual', require 'fail', require 'research.plasticity'

local cfg = experiment.config {
  domains = { texts = { { corpus = 'tinyshakespeare' }, { corpus = 'python_code' }, { corpus = 'kjv' } },
    batch = 16, seq = 64,
    allow_leak = true, -- python_code says again in its val split what it said in train: a tenth of it
    batches = 300, phases = { 1, 2, 3, 1 } },
  model = { branching = { 3, 3 }, d_model = 64, heads = 4, ff = 128, dropout = experiment.number(0),
    forward = 'level_mean' },
  optim = { name = 'adamw', lr = 1e-3, weight_decay = 0.01, clip_norm = 1 },
  train = { epochs = 1 },
  eval = { val_cap = 30 },
  compare = { seeds = { 1, 2, 3, 4, 5 }, dense = 'dense_wide', ewc = experiment.number(300), fisher_batches = 8 },
}

k1.check_names({ cfg.compare.dense }, 'model')
local text = data.domains(cfg.domains)
local order = cfg.domains.phases or {}
for i = 1, #text.names do
  if cfg.domains.interleaved or cfg.domains.phases and order[i] ~= i then
    fail.config('domains: forgetting is measured on texts that are trained one after the other: '
      .. 'domains.interleaved=false, and domains.phases begins with 1 to %d; for another order reorder domains.texts',
      #text.names)
  end
end
local again = #order > #text.names and order[#order] == 1
local learnt = #text.names -- the phases that learn a domain for the first time; those after them go back
local last = {}            -- arm -> matrix of its last seed

local function arm(name, options)
  return { name, function(seed)
    local o = options(seed)
    o.seed, o.callbacks = seed, o.callbacks or {}
    table.insert(o.callbacks, 1, 'domain_matrix')
    local numbers, fit = k1.train(cfg, o.text or text, o)
    if not fit.domains or #fit.domains <= #text.phases then return numbers end -- cut short
    local matrix = { unpack(fit.domains, 2, learnt + 1) }
    local m = plasticity.measures(matrix, text.names)
    numbers.final_mean, numbers.forgetting, numbers.new_task = m.final_mean, m.forgetting, m.new_task
    numbers.first_again = again and fit.domains[#fit.domains][1] or nil
    last[name] = plasticity.lines(matrix, text.names)
    return numbers
  end }
end

local ALL = 'tree, all nodes' -- what selection is to be measured by: the same model, all of which moves
local dense = cfg.compare.dense
local label = dense == 'dense_4' and 'dense_4 (unmatched)' or dense
local result = arms.run { seeds = cfg.compare.seeds, baseline = ALL, arms = {
  arm(ALL, function() return { select = { rule = 'all' } } end),
  arm('tree, path', function() return { select = { rule = 'path' } } end),
  arm(label, function() return { model = dense } end),
  arm(label .. ', EWC', function()
    -- strength / 2 F d^2, as Kirkpatrick et al. write it.
    return { model = dense, callbacks = { { 'ewc', strength = cfg.compare.ewc / 2,
      batches = cfg.compare.fisher_batches } } }
  end),
  arm(label .. ', replay', function(seed) -- of everything that was met, in place of half of each batch
    local own = k1.seeded(text, seed)
    return { model = dense, text = continual.replay(own, { memory = own.train:samples(), in_place = true,
      seed = seed }) }
  end),
} }
for _, one in ipairs(result.arms) do
  local matrix = last[one.name]
  if matrix then
    print(('%s, seed %d: %s\n'):format(one.name, result.seeds[#result.seeds], table.concat(matrix, '\n')))
  end
end
arms.print(result, { { 'final_mean', 'final mean' }, { 'forgetting', 'forgetting' }, { 'new_task', 'new-task loss' },
  { 'first_again', 'first domain, learnt again' } })
arms.print_differences(result, 'forgetting', 'forgetting')
print('\n' .. arms.finding(result, 'final_mean', 'final mean loss'))
print(arms.finding(result, 'forgetting', 'forgetting'))
-- Consolidation and replay by what they are added to: beside a tree their effect would be mixed with that of the model.
local twins = arms.against(result, label, { label, label .. ', EWC', label .. ', replay' })
arms.print_differences(twins, 'final_mean', 'final mean')
arms.print_differences(twins, 'forgetting', 'forgetting')
print('\n' .. arms.finding(twins, 'final_mean', 'final mean loss'))
print(arms.finding(twins, 'forgetting', 'forgetting'))
