-- data.domains: several texts under one vocabulary.
local cache_folder = require 'base.cache_folder'
local check_file = require 'sources.check_file'
local console = require 'console'
local corpora = require 'corpus.registry'
local count = require('pretty').count
local data_set = require 'sources.data_set'
local fail = require 'fail'
local guards = require 'guards.registry'
local native = require 'lanthorn'
local opened = require 'sources.opened'
local options = require 'options'
local specs = require 'config.specs'

local data = {}

local ORDERS = { random = 'windows drawn at random', epoch = 'each window once an epoch',
  streams = 'as parallel streams' }
local MOST_UNKNOWN = 0.1 -- share of the words, above which perplexities say little

local DOMAIN = { name = 'string?', file = 'string?', corpus = 'string?', bytes = { 'int', 0 },
  from = { 'number', 0 }, to = { 'number', 1 } }

local function domain_source(given, index)
  local option = ('domains.texts[%d]'):format(index)
  local o = options.check('data.domains: ' .. option, type(given) == 'string' and { file = given } or given, DOMAIN)
  if (o.file == nil) == (o.corpus == nil) then
    fail.config('data.domains: %s needs either a file or a corpus', option)
  end
  if o.bytes < 0 then fail.config('data.domains: %s.bytes must not be negative (0: all), got %d', option, o.bytes) end
  if o.file then check_file(o.file, option .. '.file') end
  local part = o.from ~= 0 or o.to ~= 1
  if part and o.bytes > 0 then
    fail.config('data.domains: %s has bytes and a part (from, to); use one of them', option)
  end
  local source = o.file and { name = o.file:match('[^/]*$'):gsub('%.%w+$', ''), path = o.file, sha256 = '' }
    or corpora.find(o.corpus, option .. '.file')
  return { name = o.name or part and ('%s_%d'):format(source.name, index) or source.name, path = source.path,
    sha256 = source.sha256, bytes = o.bytes, from = o.from, to = o.to }
end

---@class DomainData: DataSet
---@field vocab_size integer
---@field names string[]
---@field info table[] of Domains:info
---@field phases table[] { end_batch=, passes=, domain= } of each
---@field seed integer of the windows
local Domains = data_set.derive { kind = 'domains', usual_shift = 1, row_word = 'windows',
  leak_option = 'domains.allow_leak' }

-- The val or test batches of a domain, from 1.
function Domains:val_of(domain) return self.native:val_of(domain) end
function Domains:test_of(domain) return self.native:test_of(domain) end
-- The train batches of a domain: those of the first pass of its first phase.
function Domains:train_of(domain) return self.native:train_of(domain) end
-- Token ids of a text, int64, and back.
function Domains:encode(text) return self.native:encode(text) end
function Domains:decode(ids) return self.native:decode(ids) end

-- A line for each domain, and one for how they are trained on.
function Domains:lines(plan)
  local o, lines = self.options, {}
  for i, one in ipairs(self.info) do
    local unknown = o.words > 0
      and (', unknown %.1f %% and %.1f %%'):format(100 * one.train_unknown, 100 * one.val_unknown) or ''
    lines[i] = ('%s  %s %s train, %s val%s'):format(one.name, count(one.train_tokens), self.token_word,
      count(one.val_tokens), unknown)
  end
  lines[#lines + 1] = ('vocabulary %s  batches of %d x %d, %s; %s%s'):format(count(self.vocab_size), o.batch, o.seq,
    ORDERS[o.order], o.interleaved and 'domains take turns' or #self.phases == 1 and '1 phase'
    or #self.phases .. ' phases one after the other', o.passes > 1 and (', %d passes each'):format(o.passes) or '')
  lines[#lines + 1] = plan.batches
  return lines
end

function Domains:records()
  local records, vocab_sha256 = {}, self:vocab_sha256()
  for i, one in ipairs(self.info) do
    records[i] = { name = one.name, bytes = one.bytes, sha256 = 'sha256:' .. one.sha256, vocab_size = self.vocab_size,
      vocab_sha256 = vocab_sha256, train_n = one.train_tokens, val_n = one.val_tokens,
      unknown_pct = self.options.words > 0 and { train = 100 * one.train_unknown, val = 100 * one.val_unknown } or nil }
  end
  return records
end

-- Each text is compared with itself.
function Domains:leaks()
  local leaks = {}
  for domain, name in ipairs(self.names) do
    leaks[domain] = { found = self.native:leak(domain), of = ("domain '%s': val"):format(name) }
  end
  return leaks
end

function Domains:prompt_batches() return self:val_of(1) end

-- Domains of options that were checked, from texts that were found.
local function open_domains(o, sources, seed)
  local names = {}
  for i, source in ipairs(sources) do names[i] = source.name end
  local open = specs.native_part('domains', o)
  open.seed, open.quiet, open.newlines = seed, console.quiet, o.newlines or 'ask'
  open.keep, open.other_folder = o.cache, cache_folder 'tokens'
  local domains = native.data.open_domains(sources, open)
  local bytes, info = 0, domains:info()
  for _, one in ipairs(info) do
    opened.add_text(one.path, one)
    bytes = bytes + one.data_bytes
  end
  return setmetatable({ native = domains, options = o, token_word = o.words > 0 and 'words' or 'characters',
    sources = sources, names = names, seed = seed, info = info, bytes = bytes, phases = domains:phases(),
    vocab_size = domains:vocab_size(), train = domains:train(), val = domains:val() }, Domains)
end

---The same texts with other options, such as `phases` or `interleaved`.
---@param changes table
---@return DomainData
function Domains:with(changes)
  local o = options.check('data.domains', options.with(self.options, changes), specs.domains)
  return open_domains(o, self.sources, changes.seed or self.seed)
end

---The same texts with the windows of another seed: for a script that trains with several seeds, since windows are
---drawn when texts are opened. The newest is kept, so that all arms of a seed share one.
---@param seed integer
---@return DomainData
function Domains:with_seed(seed)
  if seed == self.seed then return self end
  local kept = rawget(self, 'reseeded')
  if not kept or kept.seed ~= seed then
    kept = self:with { seed = seed }
    self.reseeded = kept
  end
  return kept
end

-- Parts of one file must not have in train what another has in val (guard G24).
local function check_parts(info)
  for i, one in ipairs(info) do
    local val_begin = one.from + one.train_tokens
    for j, other in ipairs(info) do
      local train_end = other.from + other.train_tokens
      if i ~= j and one.path == other.path and one.val_tokens > 0 and other.from < val_begin + one.val_tokens
        and val_begin < train_end then
        fail.data('%s', guards.say('G24', "domain '%s' trains on tokens %d to %d of '%s', in which lie val tokens of "
          .. "domain '%s' (%d to %d); choose parts that do not overlap; to accept: domains.allow_leak=true", other.name,
          other.from, train_end, one.path, one.name, val_begin, val_begin + one.val_tokens))
      end
    end
  end
end

---Several texts under one vocabulary. Each of `texts` is a file name or {file=|corpus=, name=, bytes=}, or a part of
---one, {file=|corpus=, from=0.5, to=1}: shares, or tokens where they are above 1. words = n: a vocabulary of n words
---from the train splits (0: characters). Windows of `seq` tokens every `stride` (seq / 2), drawn at random or each once
---an `order='epoch'` (the last batch smaller, or left out by `drop_last`), or as `order='streams'`, `batch` of them,
---each of which goes on from batch to batch; `batches` of each phase an epoch. Phases follow one another, each domain
---once or as `phases = {1, 2, 1}` says, with `passes` over its text; or take turns (`interleaved`). Shares `train` and
---`val` are by position, the rest is the test split.
---@param given { texts: table[], words: integer?, batch: integer?, seq: integer?, stride: integer?, train: number?,
---val: number?, order: string?, batches: integer?, drop_last: boolean?, phases: integer[]?, passes: integer?,
---interleaved: boolean?, allow_leak: boolean?, seed: integer? }
---@return DomainData
function data.domains(given, config)
  local o = options.check('data.domains', given, specs.domains)
  if o.order == 'streams' and o.stride and o.stride ~= o.seq then
    fail.config("data.domains: stride=%d has no meaning with order='streams', whose windows lie end to end", o.stride)
  end
  if o.val == 0 and config.evaluates then
    fail.data('%s', guards.say('G22', 'domains.val=0 leaves nothing to evaluate; set domains.val, or eval.off=true'))
  end
  o.stride = o.stride or math.max(1, math.floor(o.seq / 2))
  local sources, places = {}, {}
  for i, domain in ipairs(o.texts) do
    local source = domain_source(domain, i)
    local other = places[source.name]
    if other then
      fail.config("domains.texts[%d] and [%d] are both called '%s'; give one a name of its own: {file=..., name=...}",
        other, i, source.name)
    end
    sources[i], places[source.name] = source, i
  end
  local made = open_domains(o, sources, o.seed or config.seed)
  if not o.allow_leak then check_parts(made.info) end
  for _, one in ipairs(made.info) do
    if math.max(one.train_unknown, one.val_unknown) > MOST_UNKNOWN then
      console.warn(("data: domain '%s': %.1f %% of the train and %.1f %% of the val words are unknown; perplexities "
        .. 'of it are not comparable (above 10 %%)'):format(one.name, 100 * one.train_unknown, 100 * one.val_unknown))
    end
  end
  return made
end

return data.domains
