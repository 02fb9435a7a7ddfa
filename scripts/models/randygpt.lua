-- randygpt: RandyGPT's small GPT: RMS norms without gain or final norm, no biases, squared ReLU, a head of its own. in:
-- ids (B, T), T at most max_len; out: logits (B, T, V). Versions v0.3, v0.4, v0.5, v0.9 and its later presets xs, s,
-- ds, m, l, deep, xl; d_model, heads, layers, max_len and dropout change one. init v03 is the published one.
-- grad_mode: scripts/research/gradient_modes.lua. State-dict names as transformer_lm.
local gradient_modes = require 'research.gradient_modes'
local model = require 'model'
local transformer_lm = require 'models.transformer_lm'

-- d, heads, layers, T, dropout
local VERSIONS = {
  ['v0.3'] = { 128, 8, 4, 64, 0 },
  ['v0.4'] = { 256, 8, 6, 64, 0.1 },
  ['v0.5'] = { 128, 8, 6, 64, 0.1 },
  ['v0.9'] = { 256, 8, 6, 256, 0.1 },
  xs = { 116, 4, 3, 256, 0.1 },
  s = { 128, 4, 8, 256, 0.1 },
  ds = { 128, 4, 12, 256, 0.1 },
  m = { 192, 6, 6, 256, 0.1 },
  l = { 256, 8, 6, 256, 0.1 },
  deep = { 192, 6, 16, 256, 0.1 },
  xl = { 384, 8, 8, 256, 0.1 },
}
local NAMES = { 'v0.3', 'v0.4', 'v0.5', 'v0.9', 'xs', 's', 'ds', 'm', 'l', 'deep', 'xl' }

return model.define {
  name = 'models.randygpt',
  args = { vocab = 'int', version = { 'string', 'v0.3', one_of = NAMES }, d_model = 'int?', heads = 'int?',
    layers = 'int?', max_len = 'int?', dropout = 'number?', final_norm = { 'boolean', false },
    tied = { 'boolean', false }, init = { 'string', 'gpt2', one_of = { 'gpt2', 'v03' } },
    grad_mode = { 'string', 'full', one_of = gradient_modes.NAMES } },
  build = function(a)
    local d, heads, layers, length, dropout = unpack(VERSIONS[a.version])
    d, heads, layers = a.d_model or d, a.heads or heads, a.layers or layers
    local net = transformer_lm { vocab = a.vocab, max_len = a.max_len or length, d_model = d, heads = heads, ff = 4 * d,
      layers = layers, dropout = a.dropout or dropout, attention_dropout = 0, hidden_dropout = 0, norm_first = true,
      norm = 'rms', norm_gain = false, final_norm = a.final_norm, activation = 'relu2', bias = false, tied = a.tied,
      init = a.init }
    gradient_modes.apply(net, a.grad_mode, layers, heads)
    return net
  end,
}
