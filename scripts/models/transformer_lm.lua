-- transformer_lm: Embedding, positions, transformer blocks, norm, Linear. in: ids (B, T), T at most max_len; out:
-- logits (B, T, V). State-dict names embed.*, positions.*, blocks.0.* and on, norm.*, head.*. Positions 'sinusoidal'
-- take sequences of any length. init 'pytorch' draws as PyTorch's layers do; 'xavier' then draws every tensor of two
-- dimensions or more from Glorot and Bengio's uniform law (2010), positions too; 'gpt2', 'n01' and 'v03' are normal
-- (scripts/research/gpt_init.lua). tied: the head's weight is the embedding's. `dropout` is of what the blocks add,
-- and of attention weights and hidden units where those have none of their own; embed_dropout of what is embedded.
local fail = require 'fail'
local gpt_init = require 'research.gpt_init'
local model = require 'model'
local nn = require 'nn'
local xavier = require 'research.xavier'

return model.define {
  name = 'models.transformer_lm',
  args = { vocab = 'int', max_len = { 'int', 64 }, d_model = { 'int', 128 }, heads = { 'int', 4 }, ff = { 'int', 256 },
    layers = { 'int', 4 }, dropout = { 'number', 0 }, embed_dropout = { 'number', 0 },
    attention_dropout = { 'number', -1 }, hidden_dropout = { 'number', -1 }, norm_first = { 'boolean', false },
    causal = { 'boolean', true },
    activation = { 'string', 'gelu', one_of = { 'gelu', 'gelu_tanh', 'relu', 'relu2', 'swiglu' } },
    norm = { 'string', 'layer', one_of = { 'layer', 'rms' } }, norm_gain = { 'boolean', true },
    final_norm = { 'boolean', true },
    positions = { 'string', 'learned', one_of = { 'learned', 'sinusoidal' } },
    tied = { 'boolean', false }, bias = { 'boolean', true }, head_bias = { 'boolean?' },
    init = { 'string', 'pytorch', one_of = { 'pytorch', 'xavier', unpack(gpt_init.NAMES) } } },
  build = function(a)
    if a.layers < 1 then fail.config('models.transformer_lm: layers must be 1 or more, got %d', a.layers) end
    local embed = nn.Embedding { a.vocab, a.d_model }
    local positions = a.positions == 'learned' and nn.PositionalEmbedding { a.max_len, a.d_model }
      or nn.SinusoidalPositions { a.d_model }
    local blocks = {}
    for i = 1, a.layers do
      blocks[i] = nn.TransformerEncoderLayer { a.d_model, a.heads, a.ff, dropout = a.dropout, activation = a.activation,
        norm = a.norm, norm_first = a.norm_first, causal = a.causal, bias = a.bias, norm_affine = a.norm_gain,
        attention_dropout = a.attention_dropout, hidden_dropout = a.hidden_dropout }
    end
    local parts = { { 'embed', embed }, { 'positions', positions } }
    if a.embed_dropout > 0 then parts[#parts + 1] = { 'dropout', nn.Dropout { a.embed_dropout } } end
    parts[#parts + 1] = { 'blocks', nn.Sequential(blocks) }
    if a.final_norm then
      parts[#parts + 1] = { 'norm', a.norm == 'rms' and nn.RMSNorm { a.d_model, elementwise_affine = a.norm_gain }
        or nn.LayerNorm { a.d_model, elementwise_affine = a.norm_gain, bias = a.bias } }
    end
    local with_bias = a.head_bias
    if with_bias == nil then with_bias = a.bias end
    local head = nn.Linear { a.d_model, a.vocab, with_bias }
    if a.tied then head.weight = embed.weight end
    parts[#parts + 1] = { 'head', head }
    local net = nn.Sequential(parts)
    if a.init == 'xavier' then
      xavier.draw_all(net)
    elseif a.init ~= 'pytorch' then
      gpt_init.draw(net, a.init, a.layers, a.d_model)
    end
    return net
  end,
}
