-- selftest: the facts of GraphMER that need no training: sizes, samples, tables of relations, untrained losses.
local constraints, experiment, leaves = require 'graph.constraints', require 'experiment', require 'graph.leaves'
local models, objective, published = require 'models', require 'graph.objective', require 'research.published'
local split, torch = require 'graph.split', require 'torch'

local cfg = experiment.config { train = { seed = 1 } }
experiment.check_reads()
experiment.stop_if_dry_run()

local rows = {}
local function add(what, ours, theirs, tolerance, digits)
  rows[#rows + 1] = { what = what, ours = ours, theirs = theirs, tag = 'derived', tolerance = tolerance or 0,
    digits = digits or 0 }
end

local function count(changes)
  changes.profile = 'published'
  return torch.scope(function() return models.graphmer(changes):parameter_count() end)
end
add('parameters, 12 relations', count { relations = 12 }, 106659232)
add('13 relations', count { relations = 13 }, 106660024)
add('16 relations', count { relations = 16 }, 106662400)
add('places from the graph, more by', count { relations = 12, pos = 'graph' } - count { relations = 12 }, 786432)
add('a layer without its tables', count { relations = 12, layers = 2, rel_bias = false } - count { relations = 12,
  layers = 1, rel_bias = false }, 7087872)

-- Samples of a thousand facts, a token for each word.
local SPECIAL, triples = { pad = 0, cls = 1, sep = 2, mask = 3, rel = 4, unk = 5 }, {}
for i = 1, 1000 do triples[i] = { head = 'h' .. i, relation = i % 2 == 0 and 'calls' or 'raises', tail = 't' .. i } end
local samples = leaves.samples(triples, {}, { mode = 'simple', max_len = 128, special = SPECIAL, encode = function(text)
  local ids = {}
  for word in text:gmatch '%w+' do ids[#ids + 1] = 6 + #word end
  return ids
end })
local parts = split.of(samples)
add('samples of 1000 facts', samples.counts.samples, 200)
add('of them in train', #parts.train, 160)
add('in val', #parts.val, 40)

local V, row = 8000, { 0, 0, 0, 0, 1, 1, 1, 0, 2, 2, 2, 2 }
local relations = torch.tensor({ row }, { dtype = 'int64' }):expand { 8, 12 }
local function small(rel_bias)
  torch.manual_seed(cfg.train.seed)
  return models.graphmer { relations = 3, vocab = V, d_model = 64, layers = 2, heads = 2, ff = 128, max_len = 16,
    rel_bias = rel_bias, dropout = 0 }
end
local with, without = small(true), small(false)
local x = torch.stack({ torch.randint(V - 6, { 8, 12 }, { dtype = 'int64' }) + 6, relations }, 1)
local y = torch.randint(V, { 8, 12 }, { dtype = 'int64' })
add('zero tables against none, largest difference', (with(x) - without(x)):abs():max():item(), 0)
local loss, _, terms = objective.new({}).loss(with, x, y)
loss:backward()
add('untrained loss of code', terms.mlm:item(), math.log(V) + 1 / 6, 0.15, 3)
add('untrained loss of facts', terms.mnm:item(), math.log(V) + 1 / 6, 0.15, 3)
local still = 0
for _, parameter in ipairs(with:named_parameters()) do
  local is_table = parameter.name:find 'relation_bias$'
  if is_table and parameter.tensor.grad:abs():max():item() == 0 then still = still + 1 end
end
add('tables without a gradient', still, 0)
local none = torch.stack({ x:select(1, 0), torch.zeros_like(relations) }, 1)
local bare, _, bare_terms = objective.new({}).loss(with, none, y)
add('loss of facts without leaves', bare_terms.mnm and bare_terms.mnm:item() or 0, 0)
add('the loss then, less that of code', bare:item() - bare_terms.mlm:item(), 0)
add('contrast of equal states', constraints.parts.alike(torch.ones { 8, 12, 4 }, relations, 0.07, false):item(),
  -(24 * math.log(23 / 55) + 32 * math.log(31 / 55)) / 56, 1e-5, 5)

local off = published.print(rows)
print(off == 0 and '\nFound: all facts hold.' or ('\nFound: %d of them do NOT hold.'):format(off))
if off > 0 then error(('%d facts do not hold'):format(off), 0) end
