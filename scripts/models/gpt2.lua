-- gpt2: GPT-2 (Radford et al. 2019): learned positions, pre-norm blocks with biases and tanh GELU, a final norm, the
-- head tied to the embedding. in: ids (B, T), T at most 1024; out: logits (B, T, V). Sizes small (124,439,808
-- parameters), medium, large, xl; vocab, max_len, d_model, heads and layers change one. init n01 is HybridTrainer's
-- published one. weights: a safetensors file of Hugging Face's names (scripts/research/gpt2_weights.lua). State-dict
-- names as transformer_lm. inference leaves out the check that a training fits into memory.
local fail = require 'fail'
local gpt2_weights = require 'research.gpt2_weights'
local model = require 'model'
local pretty = require 'pretty'
local torch = require 'torch'
local transformer_lm = require 'models.transformer_lm'

-- width, heads, layers
local SIZES = { small = { 768, 12, 12 }, medium = { 1024, 16, 24 }, large = { 1280, 20, 36 }, xl = { 1600, 25, 48 } }
local BYTES = 16 -- of a parameter in training: value, gradient, two moments of Adam

---V d + P d + L (12 d^2 + 13 d) + 2 d
local function parameter_count(vocab, positions, d, layers)
  return vocab * d + positions * d + layers * (12 * d * d + 13 * d) + 2 * d
end

local function check_memory(name, count)
  local limit, needed = torch.memory().limit_mb, count * BYTES / 1e6
  if limit and needed > limit then
    fail.raise(9, 'models.gpt2: %s has %s parameters; training them takes %d bytes each (weight, gradient, two moments '
      .. 'of Adam), %s MB, and there are %s MB; take a smaller size, or inference=true to draw text alone', name,
      pretty.count(count), BYTES, pretty.count(math.ceil(needed)), pretty.count(math.floor(limit)))
  end
end

return model.define {
  name = 'models.gpt2',
  args = { size = { 'string', 'small', one_of = { 'small', 'medium', 'large', 'xl' } }, vocab = { 'int', 50257 },
    max_len = { 'int', 1024 }, d_model = 'int?', heads = 'int?', layers = 'int?', dropout = { 'number', 0.1 },
    init = { 'string', 'gpt2', one_of = { 'gpt2', 'n01' } }, weights = 'string?', inference = { 'boolean', false } },
  build = function(a)
    local d, heads, layers = unpack(SIZES[a.size])
    d, heads, layers = a.d_model or d, a.heads or heads, a.layers or layers
    if not a.inference then check_memory(a.size, parameter_count(a.vocab, a.max_len, d, layers)) end
    local net = transformer_lm { vocab = a.vocab, max_len = a.max_len, d_model = d, heads = heads, ff = 4 * d,
      layers = layers, dropout = a.dropout, embed_dropout = a.dropout, hidden_dropout = 0, norm_first = true,
      activation = 'gelu_tanh', tied = true, head_bias = false, init = a.init }
    if a.weights then gpt2_weights.load(net, a.weights) end
    return net
  end,
}
