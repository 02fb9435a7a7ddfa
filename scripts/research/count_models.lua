-- What counting gives: the loss of unigram, bigram and trigram models of a text, the counts of its train part plus 0.1.
-- A model whose loss is above the bigram's has learnt nothing of the context.
local torch = require 'torch'

local count_models = {}

local EXTRA = 0.1 -- of every count, so that nothing is impossible

-- Numbers of the n tokens that end at each place from the n-th on, in base V.
local function numbers(ids, n, vocab)
  local count = ids:size(0) - n + 1
  local made = ids:narrow(0, 0, count)
  for i = 1, n - 1 do made = made * vocab + ids:narrow(0, i, count) end
  return made
end

-- Mean -log p of the tokens of `val` that have n - 1 before them.
local function loss(train, val, n, vocab)
  local counts = torch.bincount(numbers(train, n, vocab), nil, vocab ^ n):double():view(-1, vocab) + EXTRA
  local logs = (counts / counts:sum(1, true)):log():view(-1)
  return -logs:index_select(0, numbers(val, n, vocab)):mean():item()
end

---@param train Tensor int64 ids
---@param val Tensor int64 ids
---@param vocab integer
---@return { unigram: number, bigram: number, trigram: number } nats per token of val
function count_models.losses(train, val, vocab)
  return { unigram = loss(train, val, 1, vocab), bigram = loss(train, val, 2, vocab),
    trigram = loss(train, val, 3, vocab) }
end

---The same of a data.text, its split as it is.
---@param text TextData
---@return { unigram: number, bigram: number, trigram: number }
function count_models.of(text)
  local ids, cut = text.ids, math.floor(text.options.split * text.length)
  return count_models.losses(ids:narrow(0, 0, cut), ids:narrow(0, cut, text.length - cut), text.vocab_size)
end

return count_models
