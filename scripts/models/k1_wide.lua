-- k1_wide: the dense twin of k1_tree, one block a level, as wide as all its nodes (heads and feed-forward times their
-- number). in: ids (B, T); out: logits (B, T, V). The same depth and products as the tree, all but the same
-- parameters.
local model = require 'model'
local nn = require 'nn'
local xavier = require 'research.xavier'

return model.define {
  name = 'models.k1_wide',
  args = { vocab = 'int', max_len = { 'int', 64 }, branching = { 'list', { 3, 3 } }, d_model = { 'int', 64 },
    heads = { 'int', 4 }, ff = { 'int', 128 }, dropout = { 'number', 0 } },
  build = function(a)
    local blocks, nodes = {}, 1
    for level = 0, #a.branching do
      nodes = nodes * (a.branching[level] or 1)
      blocks[level + 1] = nn.TransformerEncoderLayer { a.d_model, a.heads * nodes, a.ff * nodes, dropout = a.dropout,
        causal = true, head_dim = a.d_model / a.heads }
    end
    local net = nn.Sequential { { 'embed', nn.Embedding { a.vocab, a.d_model } },
      { 'positions', nn.PositionalEmbedding { a.max_len, a.d_model } }, { 'blocks', nn.Sequential(blocks) },
      { 'norm', nn.LayerNorm { a.d_model } }, { 'head', nn.Linear { a.d_model, a.vocab } } }
    xavier.draw_all(net)
    return net
  end,
}
