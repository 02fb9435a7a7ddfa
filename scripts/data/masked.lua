-- data.masked: rows of tokens, some of them masked.
local data_set = require 'sources.data_set'
local fail = require 'fail'
local from = require('lanthorn').data.from_masked
local options = require 'options'
local pretty = require 'pretty'
local torch = require 'torch'

local data = {}

local Masked = data_set.derive { kind = 'masked' }

function Masked:lines(plan)
  local counts = self.counts
  return { ('%s rows, %.0f tokens each on average, at most %d; vocabulary %s, %s'):format(pretty.count(counts.rows),
    counts.tokens / counts.rows, counts.longest, pretty.count(self.vocab_size), self.masking),
    ('train %s batches of %d%s   val %s'):format(pretty.count(self.train:count()), self.train:rows(),
      self:last_batch(), plan.val), plan.batches }
end

function Masked:records() return self.files end

function Masked:real_tokens(x)
  return x:select(1, 0):ne(self.pad):sum(1):tolist()
end

function Masked:vocab_sha256() return self.vocabulary end

-- ids, relations and offsets of some of the samples, one behind the other.
local function rows_of(samples, numbers)
  local ids, relations, offsets = {}, {}, { 0 }
  for _, number in ipairs(numbers) do
    for at = samples.offsets[number] + 1, samples.offsets[number + 1] do
      ids[#ids + 1], relations[#relations + 1] = samples.ids[at], samples.rel[at]
    end
    offsets[#offsets + 1] = #ids
  end
  local function tensor(list) return torch.tensor(list, { dtype = 'int64' }) end
  return tensor(ids), tensor(relations), tensor(offsets)
end

local SPEC = { samples = 'table', train = 'list', val = 'list?', vocab_size = 'int', batch = { 'int', 8, min = 1 },
  masking = { 'string', 'dynamic', one_of = { 'dynamic', 'static' } }, text_share = { 'number', 0.15 },
  fact_share = { 'number', 0.2 }, text_least = { 'int', 1 }, fact_least = { 'int', 8 }, special = 'table',
  bucket = { 'boolean', true }, shuffle = { 'boolean', true }, drop_last = { 'boolean', false }, seed = 'int?',
  files = { 'list', {} }, vocab_sha256 = 'string?' }

---Batches of masked rows: x (B, 2, T), ids and relations of the tokens, y (B, T), what was masked, -100 elsewhere.
---`samples` as graph.leaves gives them, `train` and `val` numbers of them (graph.split). `special`: the ids of the
---marks by name, among them pad and mask; none of them is masked. Masks are drawn anew in each epoch, or with
---masking='static' once; those of val stay. Rows of about one length share a batch, unless `bucket` is false.
---`files`: what a manifest keeps of where the samples come from; `vocab_sha256`: a checksum of what the ids mean, which
---stays with weights that are trained on them.
---@param given table
function data.masked(given, config)
  local o = options.check('data.masked', given, SPEC)
  local special = {}
  for _, id in pairs(o.special) do special[#special + 1] = id end
  if not (o.special.pad and o.special.mask) then fail.config 'data.masked: special needs pad and mask' end
  if #o.train == 0 then fail.data 'data.masked: there is no sample to train on' end
  local seed = o.seed or config.seed
  local function batches(numbers, redraw, shuffle, batch)
    local ids, relations, offsets = rows_of(o.samples, numbers)
    return from(ids, relations, offsets, { batch = batch, drop_last = shuffle and o.drop_last, shuffle = shuffle,
      bucket = o.bucket, redraw = redraw, text_share = o.text_share, fact_share = o.fact_share,
      text_least = o.text_least, fact_least = o.fact_least, pad = o.special.pad, mask = o.special.mask,
      special = special, seed = seed }), ids:numel()
  end
  local train, tokens = batches(o.train, o.masking == 'dynamic', o.shuffle, o.batch)
  local longest = 0
  for _, number in ipairs(o.train) do
    longest = math.max(longest, o.samples.offsets[number + 1] - o.samples.offsets[number])
  end
  local val = o.val and #o.val > 0 and batches(o.val, false, false, math.min(o.batch, #o.val)) or nil
  return setmetatable({ train = train, val = val, vocab_size = o.vocab_size, pad = o.special.pad, files = o.files,
    vocabulary = o.vocab_sha256,
    counts = { rows = #o.train, tokens = tokens, longest = longest },
    masking = o.masking == 'dynamic' and 'masks drawn anew each epoch' or 'masks drawn once' }, Masked)
end

return data.masked
