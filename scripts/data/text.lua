-- data.text: one character text.
local cache_folder = require 'base.cache_folder'
local check_file = require 'sources.check_file'
local console = require 'console'
local corpora = require 'corpus.registry'
local count = require('pretty').count
local data_set = require 'sources.data_set'
local fail = require 'fail'
local files = require 'files'
local native = require 'lanthorn'
local opened = require 'sources.opened'
local options = require 'options'
local specs = require 'config.specs'
local torch = require 'torch'

local data = {}

---@class TextData: DataSet
---@field vocab_size integer
---@field length integer characters
local Text = data_set.derive { kind = 'text', token_word = 'characters', usual_shift = 1,
  leak_option = 'data.allow_leak' }

function Text.__index(text, key)
  local own = Text[key]
  if own ~= nil then return own end
  return rawget(text, 'native')[key]
end

-- What Tab offers behind a text.
function Text.__complete(text)
  local names = debug.getmetatable(text.native).__complete(text.native)
  for name in pairs(Text) do names[#names + 1] = name end
  return names
end

-- Ids of a text, int64.
function Text:encode(text) return self.native:encode(text) end
-- Text of ids.
function Text:decode(ids) return self.native:decode(ids) end

function Text:lines(plan)
  local o, train = self.options, self.train
  local what = self.layout == 'streams' and ('%d parallel streams'):format(o.batch)
    or self.layout == 'random' and ('rows of %d at random'):format(o.seq)
    or ('rows of %d, stride %d'):format(o.seq, self.layout == 'overlap' and 1 or o.stride)
  local long = self.characters and ('%s tokens of %.2f characters'):format(count(self.length),
    self.characters / self.length) or ('%s characters'):format(count(self.length))
  return { ('%s  %s, vocabulary %d  %s%s'):format(self.name, long, self.vocab_size, what,
    o.shuffle and ', shuffled' or ''), ('train %s batches of %d x %d%s   val %s'):format(count(train:count()),
    train:rows(), o.seq, self:last_batch(), plan.val), plan.batches }
end

function Text:records()
  return { { name = self.name, bytes = self.native.bytes, sha256 = 'sha256:' .. self.sha256,
    vocab_size = self.vocab_size, vocab_sha256 = self:vocab_sha256(), train_n = self.train:samples(),
    val_n = self.val:samples() } }
end

-- Characters that a token of val stands for on average; nil where every token is one.
function Text:characters_per_token()
  local tokens = self.length - math.floor(self.options.split * self.length)
  return self.val_characters and tokens > 0 and self.val_characters / tokens or nil
end

-- Ids 0 and 1 decode to nothing, so that they would not count; neither would merges.
function Text:vocab_sha256()
  if self.options.bpe then
    return 'sha256:' .. native.data.sha256_text(files.read(self.options.bpe .. '/vocab.json')
      .. files.read(self.options.bpe .. '/merges.txt'))
  end
  if not self.options.bos_eos then return data_set.vocab_sha256(self) end
  return 'sha256:' .. native.data.sha256_text('bos eos ' .. self:decode(torch.arange(self.vocab_size)))
end

function Text:leaks() return { { found = self.native:leak(), of = 'val' } } end

-- Stride 1 multiplies the batches: its price is told, and asked for once more.
function Text:check_plan(plan, eta)
  local o, train, val = self.options, self.train, self.val
  if self.layout ~= 'overlap' or o.allow_overlap then return end
  fail.raise(7, 'G13 budget: stride 1 makes %s train and %s val batches an epoch, %s updates over %d epochs, about %s '
    .. 'at the measured step; stride %d would make %s batches; to go on set data.allow_overlap=true',
    count(train:count()), count(val:count()), count(plan.steps), plan.epochs, eta, o.seq,
    count(math.floor(train:count() / o.seq)))
end

---A character text split into train and val batches. Options: data section of specs.lua; a `file` wins over the corpus.
---@param given table such as {corpus = 'tinyshakespeare', batch = 64, seq = 100}
---@return TextData
function data.text(given, config)
  local o = options.check('data.text', given, specs.data)
  if o.file then check_file(o.file, 'data.file') end
  if o.bpe == '' then o.bpe = nil end
  local source = o.file and { name = o.file:match('[^/]*$'), path = o.file, sha256 = '' }
    or corpora.find(o.corpus or 'tinyshakespeare')
  local layout = o.layout == 'rows' and o.stride == 1 and 'overlap' or o.layout
  if layout == 'rows' and o.stride > o.seq then
    local message = 'data: stride %d is larger than seq %d: %.0f %% of the text is never read; data.stride=%d reads '
      .. 'all of it'
    console.warn(message:format(o.stride, o.seq, 100 * (1 - o.seq / o.stride), o.seq))
  end
  local open = specs.native_part('data', o)
  open.layout, open.stride = layout, o.layout == 'overlap' and 1 or o.stride
  open.name, open.path, open.sha256, open.newlines = source.name, source.path, source.sha256, o.newlines or 'ask'
  open.seed, open.val_required, open.quiet = config.seed, config.evaluates, console.quiet
  open.keep, open.other_folder = o.cache, cache_folder 'tokens'
  local text = native.data.open_text(open)
  opened.add_text(source.path, text)
  return setmetatable({ native = text, options = o, bytes = text.data_bytes, layout = layout, floor_nats = o.floor_nats,
    learnable = o.learnable, shift = o.shift, token_word = o.bpe and 'tokens' or nil }, Text)
end

return data.text
