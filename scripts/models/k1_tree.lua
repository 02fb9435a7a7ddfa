-- k1_tree: token and position embeddings, a tree of transformer blocks (K-1), norm, head. in: ids (B, T); out: logits
-- (B, T, V). State-dict names embed.*, positions.*, tree.levelN.*, norm.*, head.*; matrices and positions Xavier
-- uniform. Selective training: train.fit's `select`.
local model = require 'model'
local nn = require 'nn'
local xavier = require 'research.xavier'

return model.define {
  name = 'models.k1_tree',
  args = { vocab = 'int', max_len = { 'int', 64 }, branching = { 'list', { 3, 3 } }, d_model = { 'int', 64 },
    heads = { 'int', 4 }, ff = { 'int', 128 }, dropout = { 'number', 0 },
    forward = { 'string', 'level_mean', one_of = { 'level_mean', 'tree' } } },
  build = function(a)
    local embed, positions = nn.Embedding { a.vocab, a.d_model }, nn.PositionalEmbedding { a.max_len, a.d_model }
    local tree = nn.Tree { a.branching, a.d_model, a.heads, a.ff, dropout = a.dropout, forward = a.forward }
    local head = nn.Linear { a.d_model, a.vocab }
    xavier.draw(embed.weight, positions.weight, head.weight)
    return nn.Sequential { { 'embed', embed }, { 'positions', positions }, { 'tree', tree },
      { 'norm', nn.LayerNorm { a.d_model } }, { 'head', head } }
  end,
}
