-- Data of any kind, as train.fit sees it: batches, and answers about them. A kind is a file of data/, which says what
-- is different for it; nobody asks which one it is.
local native = require 'lanthorn'
local pretty = require 'pretty'
local torch = require 'torch'

---@class DataSet
---@field kind string the function that made it, for messages
---@field train Batches
---@field val Batches?
---@field bytes integer? in memory
---@field vocab_size integer? classes of the targets
---@field guess_nats number? what guessing costs where that is not ln(vocab_size): the loss has several terms
---@field shift integer? the targets are the inputs so many positions later, as declared
---@field usual_shift integer? the same, where nothing is declared
---@field learnable boolean? as declared
---@field floor_nats number? the lowest loss that is possible
---@field unmanaged boolean? what it reads is not known, nor how many targets it has
---@field row_word string what batches are made of, in the plural
---@field token_word string? what a text is made of, in the plural; nil where the data are no text
---@field leak_option string? the option that accepts a val that is in train too; nil where nobody looks
local data_set = { kind = 'custom', row_word = 'rows' }
data_set.__index = data_set

---Data of a kind without methods of its own.
---@param fields table
---@return DataSet
function data_set.new(fields)
  return setmetatable(fields, data_set)
end

---A kind: a metatable whose methods come before those of all data.
---@param fields table
---@return table
function data_set.derive(fields)
  fields.__index = fields
  return setmetatable(fields, data_set)
end

---Data that a script put together itself, as data: its fields, and the answers of any kind, which win. Data of a
---function of the data module, and a table that refers to such, are given back as they are.
---@param given table
---@return DataSet
function data_set.of(given)
  local complete = true
  for name, answer in pairs(data_set) do
    if type(answer) == 'function' and type(given[name]) ~= 'function' then complete = false end
  end
  if complete then return given end
  return setmetatable({}, { __newindex = given, __index = function(_, name)
    local usual, own = data_set[name], given[name]
    if type(usual) == 'function' or own == nil then return usual end
    return own
  end })
end

---How many tokens each row of a batch's inputs has, its padding not counted; nil where they are no rows of tokens.
---@param x Tensor
---@return integer[]?
function data_set.real_tokens(_, x)
  if x:dim() ~= 2 or x:is_floating_point() then return nil end
  local lengths = {}
  for row = 1, x:size(0) do lengths[row] = x:size(1) end
  return lengths
end

---", the last of 2" where the last batch of an epoch is smaller than the others.
---@return string
function data_set:last_batch()
  local train = self.train
  local rest = train:samples() - (train:count() - 1) * train:rows()
  return train:count() > 1 and rest < train:rows() and (', the last of %d'):format(rest) or ''
end

---What the plan says of the data, line by line.
---@param plan { batches: string, val: string,
---evaluates: boolean } words for the batches of both splits; whether there are evals
---@return string[]
function data_set:lines(plan)
  local train = self.train
  local all = self.unmanaged and '' or (', %s rows in all'):format(pretty.count(train:samples() + train:left_out()))
  return { ('%s%s batches of %d rows%s%s%s'):format(self.unmanaged and 'unmanaged data: ' or '',
    pretty.count(train:count()), train:rows(), self:last_batch(), all, plan.evaluates and '   val ' .. plan.val or ''),
    plan.batches }
end

---What a manifest keeps of the files: name, bytes, sha256, and more where there is more.
---@return table[]
function data_set.records() return {} end

---What val has of train: of each text the blocks in both, and whose val it is. Asked where there is a leak_option.
---@return { found: table, of: string }[]
function data_set.leaks() return {} end

---Batches whose text a prompt may begin with; nil where the data are no text.
---@return Batches?
function data_set:prompt_batches() return self.decode and (self.val or self.train) end

---check_plan(plan, eta) raises where a plan costs more than whoever made it may know (guard G13); eta is its time in
---words.
function data_set.check_plan() end

---Checksum of a text's vocabulary; nil for data that have none.
---@return string?
function data_set:vocab_sha256()
  if not self.token_word then return nil end
  return 'sha256:' .. native.data.sha256_text(self:decode(torch.arange(self.vocab_size)))
end

return data_set
