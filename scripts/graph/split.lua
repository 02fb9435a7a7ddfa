-- Which samples a model is trained on and which it is judged by.
local fail = require 'fail'
local host = require 'host'
local options = require 'options'

local split = {}

local HEX_DIGITS = 8

---A number from 0 to 1 that a text always has, in every process and whatever other texts there are.
---@param text string
---@return number
function split.place(text)
  return tonumber(host.sha256(text):sub(1, HEX_DIGITS), 16) / 16 ^ HEX_DIGITS
end

---@class SampleSplit
---@field train integer[] numbers of samples, from 1
---@field val integer[]

---Parts of samples: by a hash where they are grouped, so that all of a head are on one side; the first and the last in
---their order where they are simple. Raises (exit 4) where a part is empty.
---@param samples LeafSamples
---@param given? { train: number?, by: "head"|"code"|nil } train: the share of the training part, 0.8; by: whose hash,
---that of the head or that of its code, which keeps heads with equal code on one side
---@return SampleSplit
function split.of(samples, given)
  local o = options.check('graph.split', given, { train = { 'number', 0.8 },
    by = { 'string', 'head', one_of = { 'head', 'code' } } })
  if o.train <= 0 or o.train >= 1 then fail.config('graph.split: train must lie between 0 and 1, got %g', o.train) end
  local made, keys = { train = {}, val = {} }, o.by == 'head' and samples.heads or samples.texts
  local first = math.floor(#keys * o.train + 0.5)
  for i, key in ipairs(keys) do
    local in_train = i <= first
    if samples.mode == 'grouped' then in_train = split.place(key) < o.train end
    table.insert(in_train and made.train or made.val, i)
  end
  for _, part in ipairs { 'train', 'val' } do
    if #made[part] == 0 then
      fail.data("graph.split: none of %d samples is in '%s' (train = %g); it takes more samples, or another share",
        #keys, part, o.train)
    end
  end
  return made
end

return split
