-- Options of the library by section of a config, with type, default, range and meaning. data.text and train.fit check
-- against them, experiment.config fills in what a script leaves out, so that every option can be set on the command
-- line, and `runner api --md` prints them.
--
-- Options that the engine reads are declared there (bindings/runner/option_rows.cc has all of their structs); here are
-- those that Lua acts on, and those that it takes narrower or leaves unset.
local host = require 'host'

local specs = {}

local native = host.option_rows()

---Those options of a section that the engine reads.
---@param section string
---@param values table
---@return table
function specs.native_part(section, values)
  local made = {}
  for name in pairs(native[section]) do made[name] = values[name] end
  return made
end

---Rows of options that are those of a callback or of data, not of a section: the engine's, and some more.
---@param name string ewc, sleep or replay
---@param more table
---@return table
function specs.rows(name, more)
  local rows = {}
  for key, row in pairs(native[name]) do rows[key] = row end
  for key, row in pairs(more) do rows[key] = row end
  return rows
end

---Whether an option of a section is one that the engine reads.
---@param section string
---@param name string
---@return boolean
function specs.is_native(section, name) return native[section][name] ~= nil end

-- Rows of Lua win: they may leave unset what has a number in the engine.
local function with_native(section, rows)
  for name, row in pairs(native[section]) do rows[name] = rows[name] or row end
  return rows
end

specs.data = with_native('data', {
  corpus = { 'string?', meaning = 'a known text; `runner data ls` has their names' },
  file = { 'string?', meaning = 'a text of your own, in place of a corpus' },
  allow_overlap = { 'boolean', false,
    meaning = 'accept the batches of stride 1, about a hundred times as many (guard G13)' },
  allow_leak = { 'boolean', false, meaning = 'accept val text that is in train too (guard G24)' },
  newlines = { 'string?', nil, one_of = { 'keep', 'lf' },
    meaning = 'carriage returns: lf reads them as LF; unset: a text that has some is refused' },
  cache = { 'boolean', true, meaning = 'tokens of a long text stay in a file beside it, for the next training' },
  floor_nats = { 'number?', meaning = 'the lowest loss that is possible, where it is known' },
  shift = { 'int?', meaning = 'targets are the inputs so many positions later (guard G45); 1 for a text' },
  learnable = { 'boolean?', meaning = 'false: nothing to learn, such as random targets; true accepts guard G06' },
})

-- Several texts under one vocabulary, for data.domains.
specs.domains = with_native('domains', {
  texts = { 'list', {}, meaning = 'file names, or {file=|corpus=, name=, bytes=} or {..., from=, to=}' },
  stride = { 'int?', meaning = 'tokens from one window to the next; half of seq when unset' },
  order = { 'string', 'random', one_of = { 'random', 'epoch', 'streams' },
    meaning = 'windows drawn at random, or each once an epoch, or as streams that go on from batch to batch' },
  allow_leak = { 'boolean', false, meaning = 'accept val text that is in train too (guard G24)' },
  newlines = { 'string?', nil, one_of = { 'keep', 'lf' }, meaning = 'as in data' },
  cache = { 'boolean', true, meaning = 'tokens of long texts stay in files beside them' },
  seed = { 'int?', meaning = 'seed of the windows, the same for every training; train.seed when unset' },
})

specs.optim = with_native('optim', {
  name = { 'string', 'adam', meaning = 'adam, adamw, sgd or rmsprop; the next keys are those of torch.optim' },
  lr = 'number?', beta1 = 'number?', beta2 = 'number?', eps = 'number?', weight_decay = 'number?', momentum = 'number?',
  dampening = 'number?', nesterov = 'boolean?', alpha = 'number?', centered = 'boolean?',
  horizon = { 'number|string?',
    meaning = 'the update where cosine and linear end, the last one when unset; for a resumed run of another length '
      .. 'keep (its curve, then its end value) or stretch (the curve of the new length)' },
  groups = { 'list?', meaning = "parameters with options of their own: { {match = 'bias', weight_decay = 0}, ... }" },
})

specs.train = with_native('train', {
  seed = { 'int', 42, meaning = 'of all random streams: weights, order, dropout' },
  device = { 'string', 'auto', meaning = 'auto, cpu or cuda; one that is absent is an error' },
  max_time = { 'number|string?',
    meaning = 'seconds, or 90s, 5m, 2h, HH:MM:SS, from the start of the command; then it ends with exit code 7' },
  accept_eta = { 'boolean', false, meaning = 'train up to max_time even if the plan needs longer (guard G13)' },
  resume = { 'string', 'never', one_of = { 'never', 'auto' },
    meaning = 'auto: go on with an unfinished run of this config' },
  on_divergence = { 'string', 'stop', one_of = { 'stop', 'rollback' },
    meaning = 'when the loss is not finite or runs away (guard G23): stop, or go on from the newest checkpoint with '
      .. 'smaller learning rates' },
  rollback_factor = { 'number', 0.5, meaning = 'every base learning rate is multiplied by it at a rollback' },
  rollback_tries = { 'int', 3, min = 0, meaning = 'rollbacks at most in the life of the run' },
  allow_dead = { 'list?', meaning = 'Lua patterns of parameters that may stay without a gradient (guard G30)' },
  allow_vocabulary = { 'boolean?', meaning = 'accept weights that were trained with another vocabulary' },
  expect_loss = { 'number?', meaning = 'what guard G05 compares the first loss with; ln V when unset' },
})

specs.tscore = with_native('tscore', {})

-- Selective training of a tree of nodes (models.k1_tree); given to train.fit as `select`.
specs.select = with_native('select', {
  seed = { 'int?', meaning = 'seed of the random rules; train.seed when unset' },
  log_every = { 'int', 100, min = 1, meaning = 'updates from one `selection` event in metrics.jsonl to the next' },
})

specs.eval = with_native('eval', {})

specs.guards = require('guards.registry').spec()

-- The process that ends a run that hangs (guard G11). Off under --fast-dev-run and at the prompt.
specs.watchdog = {
  off = { 'boolean', false, meaning = 'no watchdog' },
  min_s = { 'number', 120, min = 0, meaning = 'shortest wait for progress in seconds, however fast the steps are' },
  first_s = { 'number', 900, min = 0, meaning = 'seconds for loading, building, the first step and the first save' },
  stall_s = { 'number?', nil, min = 0,
    meaning = 'one limit in seconds for everything, in place of what was learnt from the steps' },
  on_stall = { 'string', 'stop', one_of = { 'stop', 'resume' }, meaning = 'resume: go on from the newest checkpoint' },
  retries = { 'int', 1, min = 0, meaning = 'resumes at most' },
  grace_s = { 'number', 30, min = 0, meaning = 'seconds from asking the process to end to ending it' },
}

specs.checkpoint = {
  off = { 'boolean', false, meaning = 'no checkpoints' },
  every = { 'table', { steps = 0, seconds = 600, epochs = 1 },
    meaning = "how far apart saves are, 0: not by that; those at epochs' ends take 1 % of the time at most" },
  keep_last = { 'int', 2, min = 1, meaning = 'so many of the newest stay, beside the best' },
  keep_every = { 'int', 0, min = 0, meaning = 'checkpoints whose step this divides stay too; 0: none' },
}

-- Sections that every config with a `train` section has, and those filled in only where a script has them.
specs.training = { 'eval', 'guards', 'checkpoint', 'watchdog' }
specs.when_present = { 'data', 'domains', 'optim', 'train', 'tscore', 'select' }

return specs
