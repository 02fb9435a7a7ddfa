-- transformer_lm: Embedding, positions, transformer blocks, norm, Linear. in: ids (B, T), T at most max_len; out:
-- logits (B, T, V). State-dict names embed.*, positions.*, blocks.0.* and on, norm.*, head.*. Positions 'sinusoidal'
-- take sequences of any length. init 'pytorch' draws as PyTorch's layers do; 'xavier' then draws every tensor of two
-- dimensions or more from Glorot and Bengio's uniform law (2010), positions too. tied: the head's weight is the
-- embedding's.
local fail = require 'fail'
local model = require 'model'
local nn = require 'nn'
local xavier = require 'research.xavier'

return model.define {
  name = 'models.transformer_lm',
  args = { vocab = 'int', max_len = { 'int', 64 }, d_model = { 'int', 128 }, heads = { 'int', 4 }, ff = { 'int', 256 },
    layers = { 'int', 4 }, dropout = { 'number', 0 }, norm_first = { 'boolean', false }, causal = { 'boolean', true },
    activation = { 'string', 'gelu', one_of = { 'gelu', 'relu', 'relu2', 'swiglu' } },
    norm = { 'string', 'layer', one_of = { 'layer', 'rms' } },
    positions = { 'string', 'learned', one_of = { 'learned', 'sinusoidal' } },
    tied = { 'boolean', false }, bias = { 'boolean', true },
    init = { 'string', 'pytorch', one_of = { 'pytorch', 'xavier' } } },
  build = function(a)
    if a.layers < 1 then fail.config('models.transformer_lm: layers must be 1 or more, got %d', a.layers) end
    local embed = nn.Embedding { a.vocab, a.d_model }
    local positions = a.positions == 'learned' and nn.PositionalEmbedding { a.max_len, a.d_model }
      or nn.SinusoidalPositions { a.d_model }
    local blocks = {}
    for i = 1, a.layers do
      blocks[i] = nn.TransformerEncoderLayer { a.d_model, a.heads, a.ff, dropout = a.dropout, activation = a.activation,
        norm = a.norm, norm_first = a.norm_first, causal = a.causal, bias = a.bias }
    end
    local norm = a.norm == 'rms' and nn.RMSNorm { a.d_model } or nn.LayerNorm { a.d_model, bias = a.bias }
    local head = nn.Linear { a.d_model, a.vocab, a.bias }
    if a.tied then head.weight = embed.weight end
    local net = nn.Sequential { { 'embed', embed }, { 'positions', positions }, { 'blocks', nn.Sequential(blocks) },
      { 'norm', norm }, { 'head', head } }
    if a.init == 'xavier' then xavier.draw_all(net) end
    return net
  end,
}
