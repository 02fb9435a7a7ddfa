-- What the experiments on GraphMER share: a knowledge graph, its samples and their encoding, the model and what it is
-- trained for.
local code_files = require 'graph.code'
local console = require 'console'
local constraints = require 'graph.constraints'
local data = require 'data'
local experiment = require 'experiment'
local fail = require 'fail'
local forward_check = require 'graph.forward_check'
local host = require 'host'
local kg_from_python = require 'graph.python_kg'
local leaves = require 'graph.leaves'
local models = require 'models'
local objective = require 'graph.objective'
local options = require 'options'
local overlap = require 'graph.overlap'
local positions = require 'graph.positions'
local pretty = require 'pretty'
local relations = require 'graph.relations'
local split = require 'graph.split'
local standard_library = require 'graph.standard_library'
local tokenizer = require 'graph.tokenizer'
local torch = require 'torch'
local train = require 'train'
local triple_files = require 'graph.triples'

local graphmer = {}

-- Sections of an experiment's config, to be changed by name.
graphmer.GRAPH = { dir = '', triples = '', code = '', files = 150, mode = 'grouped', leaves = 5, by = 'code',
  vocab = 2000, max_len = 128 }
graphmer.ROWS = { batch = 8, masking = 'dynamic', text_share = 0.15, fact_share = 0.2, fact_least = 8 }
graphmer.MODEL = { profile = 'small', dropout = 0.1, rel_bias = true, norm = 'post_ln', act = 'gelu', pos = 'learned' }
-- Sizes of the model that replace those of its profile.
graphmer.SIZES = { d_model = experiment.optional 'int', layers = experiment.optional 'int',
  heads = experiment.optional 'int', ff = experiment.optional 'int', max_len = experiment.optional 'int' }
graphmer.OPTIM = { name = 'adamw', lr = 2.5e-4, weight_decay = 0.01 }
graphmer.OBJECTIVE = { w_mlm = 1, w_mnm = 1, ramp_steps = 0, constraints = true, tau = 0.07, compat = 'none' }
for name, weight in pairs(constraints.WEIGHTS) do graphmer.OBJECTIVE[name] = weight end

---A section with some values changed.
---@param section table
---@param changes? table
---@return table
function graphmer.section(section, changes) return options.with(section, changes or {}) end

-- Triples and code: of files, of a folder of Python, or of Python's standard library.
local function graph_of(o)
  if o.triples ~= '' and o.dir ~= '' then
    fail.config 'graph.triples and graph.dir are both set; expected one of them'
  elseif o.code ~= '' and o.triples == '' then
    fail.config 'graph.code has no effect without graph.triples; code of a folder is read with graph.dir'
  elseif o.files < 0 then
    fail.config('graph.files must be 0, which takes all, or more, got %d', o.files)
  end
  if o.triples ~= '' then
    return { triples = triple_files.read(o.triples), code = o.code ~= '' and code_files.read(o.code) or {},
      name = o.triples }
  end
  local folder = o.dir ~= '' and o.dir or standard_library.folder()
  local made = kg_from_python(folder, { files = o.files > 0 and o.files or nil })
  made.name = o.dir ~= '' and o.dir or "Python's standard library"
  return made
end

-- The code that an encoding may know: that of heads whose samples are trained on.
local function training_code(triples, code, o)
  local seen, texts = {}, {}
  for _, triple in ipairs(triples) do
    local head = triple.head
    local text = code[head]
    if text and not seen[head] and split.place(o.by == 'code' and text or head) < 0.8 then texts[#texts + 1] = text end
    seen[head] = true
  end
  if #texts == 0 then
    fail.data('%s: no head of the triples that are trained on has code, so there is none to train an encoding on; %s',
      o.triples ~= '' and o.triples or o.dir, o.triples ~= '' and o.code == '' and 'give graph.code=FILE'
      or 'expected the code of some of them')
  end
  return texts
end

---Samples of a knowledge graph with their encoding.
---@param section table graphmer.GRAPH
---@return { samples: LeafSamples, parts: SampleSplit, overlap: table, tokenizer: GraphTokenizer, name: string,
---triples: Triple[], code: table, relations: string[] }
function graphmer.graph(section)
  local o = options.with(graphmer.GRAPH, section)
  local graph = graph_of(o)
  local own = tokenizer.of(training_code(graph.triples, graph.code, o), o.vocab)
  local list = relations.of(graph.triples)
  local samples = leaves.samples(graph.triples, graph.code, { mode = o.mode, leaves = o.leaves, max_len = o.max_len,
    encode = own.encode, special = own.special, relations = list })
  local parts = split.of(samples, { by = o.by })
  local made = { samples = samples, parts = parts, overlap = overlap.of(samples, parts), tokenizer = own,
    name = graph.name, triples = graph.triples, code = graph.code, relations = list }
  graphmer.tell(made)
  return made
end

---What a graph and its samples are, in lines.
---@param graph table of graphmer.graph
function graphmer.tell(graph)
  local counts, shared = graph.samples.counts, graph.overlap
  console.note(('%-10s%s: %s triples, %d relations, %s samples of at most %d tokens'):format('graph', graph.name,
    pretty.count(#graph.triples), #graph.relations, pretty.count(counts.samples), counts.longest))
  console.note(('%-10s%s of %s leaves did not fit'):format('', pretty.count(counts.leaves_dropped),
    pretty.count(counts.leaves + counts.leaves_dropped)))
  console.note(('%-10sof val %d of %d codes and %d of %d facts stand in train too'):format('', shared.code.shared,
    shared.code.of, shared.triples.shared, shared.triples.of))
end

---Batches of a graph's samples. `files` of the manifest: what they come from.
---@param graph table
---@param section table graphmer.ROWS
---@return table
function graphmer.data(graph, section)
  return data.masked(options.with(section, { samples = graph.samples, train = graph.parts.train, val = graph.parts.val,
    vocab_size = graph.tokenizer.vocab_size, special = graph.tokenizer.special,
    vocab_sha256 = graphmer.vocabulary(graph),
    files = { { name = graph.name, sha256 = 'sha256:' .. graphmer.checksum(graph),
      vocab_sha256 = 'sha256:' .. graph.tokenizer.sha256 } } }))
end

---A checksum of what a model's numbers mean: tokens and relations.
---@param graph table
---@return string
function graphmer.vocabulary(graph)
  return 'sha256:' .. host.sha256(graph.tokenizer.sha256 .. '\n' .. table.concat(graph.relations, '\n'))
end

---A checksum of a graph's triples and code, which files of one graph have in common.
---@param graph table
---@return string
function graphmer.checksum(graph)
  return host.sha256(triple_files.text(graph.triples) .. code_files.text(graph.code))
end

---@param graph table
---@param section table graphmer.MODEL
---@return Module
function graphmer.model(graph, section)
  local special = graph.tokenizer.special
  local net = models.graphmer(options.with(section, { relations = #graph.relations, vocab = graph.tokenizer.vocab_size,
    pad = special.pad, rel_token = special.rel }))
  local most, longest = net.positions.weight:size(0), graph.samples.counts.longest
  if longest > most then
    fail.config('graphmer: samples have up to %d tokens (graph.max_len), the model takes %d; set model.max_len=%d, or '
      .. 'a smaller graph.max_len', longest, most, longest)
  end
  return net
end

---Lets a model see its inputs changed, which its loss and whoever measures it do not.
---@param model Module
---@param view fun(x: Tensor): Tensor
function graphmer.see(model, view)
  local forward = model.forward
  model.forward = function(m, x) return forward(m, view(x)) end
end

---Tells which tokens are of tails: those of a leaf behind the name of its relation, which follows from the relation.
---@param graph table
---@return fun(x: Tensor): Tensor bool (B, T)
---@return integer[] name_tokens of each relation, by its number plus 1
function graphmer.tails(graph)
  local sizes = {}
  for i, name in ipairs(graph.relations) do sizes[i] = i == 1 and 0 or #graph.tokenizer.encode(name) end
  local lengths, rel_token = torch.tensor(sizes, { dtype = 'int64' }), graph.tokenizer.special.rel
  return function(x)
    local related = x:select(1, 1)
    local _, depth = positions.of(x:select(1, 0), related, rel_token)
    return related:gt(0):logical_and(depth:gt(torch.embedding(lengths:unsqueeze(1), related):squeeze(-1)))
  end, sizes
end

-- What a fresh model's loss is (guard G05): each head guesses, with logits of the variance 1 / 3. What the constraints
-- come to depends on what the model sees of relations, so that is asked of it.
local function expected_loss(model, batches, vocab, o)
  local head = math.log(vocab) + 1 / 6
  local ramp = o.ramp_steps > 0 and 1 / o.ramp_steps or 1
  local own = 0
  if o.constraints then
    model:eval() -- dropout would draw random numbers
    own = torch.no_grad(function()
      return torch.scope(function()
        local x = batches:get(0)
        local value = constraints.of(model(x), x:select(1, 1), o)
        return value and value:item() or 0
      end)
    end)
    model:train()
  end
  return head * (o.w_mlm + o.w_mnm * ramp) + own
end

---One training: loss and hits of both heads on val (graph.objective), and what it took. `see`: a change of what the
---model sees (graphmer.see).
---@param cfg table sections rows, model, optim, objective, train
---@param graph table
---@param given? { seed: integer?, run: boolean?, model: table?, rows: table?,
---objective: table?, batches: table?, see: (fun(x: Tensor): Tensor)?, callbacks: table[]?,
---watch: fun(loss: Tensor, terms: table)? } watch: is told the loss of each micro-step
---@return { model: Module, fit: table, val: table, objective: table, data: table }
function graphmer.fit(cfg, graph, given)
  local o = given or {}
  local seed = o.seed or cfg.train.seed
  torch.manual_seed(seed)
  local model = graphmer.model(graph, options.with(cfg.model, o.model or {}))
  if o.see then graphmer.see(model, o.see) end
  local batches = o.batches or graphmer.data(graph, options.with(options.with(cfg.rows, o.rows or {}), { seed = seed }))
  local aim = options.with(cfg.objective, o.objective or {})
  local own = objective.new(aim)
  batches.guess_nats = (aim.w_mlm + aim.w_mnm) * math.log(graph.tokenizer.vocab_size) -- of both heads (guard G37)
  local callbacks, loss = { own.callback }, own.loss
  if o.watch then
    local started = false -- the first batch is tried before
    callbacks[2] = { name = 'watch', on_start = function() started = true end }
    loss = function(...)
      local value, targets, terms = own.loss(...)
      if started and model.training then o.watch(value, terms) end
      return value, targets, terms
    end
  end
  for _, callback in ipairs(o.callbacks or {}) do callbacks[#callbacks + 1] = callback end
  local expected = cfg.train.expect_loss or expected_loss(model, batches.train, graph.tokenizer.vocab_size, aim)
  local fit = train.fit { model = model, data = batches, loss = loss, optim = cfg.optim, eval = cfg.eval,
    options = options.with(cfg.train, { seed = seed, expect_loss = expected }), tscore = cfg.tscore,
    checkpoint = cfg.checkpoint, callbacks = callbacks, run = o.run }
  if fit.run and fit.code == 0 then
    model:forward_check(forward_check.of(model))
    model:save(fit.run .. '/model.safetensors')
  end
  local val = batches.val and objective.measure(model, batches.val, (graphmer.tails(graph)))
  return { model = model, fit = fit, val = val, objective = own, data = batches }
end

---"k of n = x % (a to b %)", with Wilson's interval.
---@param part { n: integer, correct: integer }
---@return string
function graphmer.accuracy(part)
  if part.n == 0 then return 'no masked token' end
  local low, high = require('statistics').wilson(part.correct, part.n)
  return ('%s of %s = %.1f %% (%.1f to %.1f %%)'):format(pretty.count(part.correct), pretty.count(part.n),
    100 * part.correct / part.n, 100 * low, 100 * high)
end

local LEAST = 100 -- masked tokens below which one of them is a per cent or more

---How much more an accuracy is than another, in per cent of that; in words where too few tokens were asked about.
---@param part { n: integer, correct: integer }
---@param other { n: integer, correct: integer }
---@return string
function graphmer.change(part, other)
  local n = math.min(part.n, other.n)
  if n < LEAST then
    return ('no percent change: %d masked tokens are too few, one of them is %.1f %% of all; it takes %d'):format(n,
      100 / math.max(1, n), LEAST)
  end
  if other.correct == 0 then return 'no percent change: there is nothing right to compare with' end
  return ('%+.1f %% of %.1f %%'):format(100 * (part.correct / part.n / (other.correct / other.n) - 1),
    100 * other.correct / other.n)
end

return graphmer
