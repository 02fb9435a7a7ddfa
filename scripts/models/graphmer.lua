-- graphmer: GraphMER, an encoder of code and of facts about it. in: x (B, 2, T), ids and the relation of each token (0:
-- none), as data.masked gives them; out: hidden states (B, T, d), which the heads mlm (of code) and mnm (of facts) turn
-- into logits (B, T, V). relations: how many there are with <none>. rel_bias: attention scores know relations
-- (MultiheadAttention's relation_bias). profile published is the 12-layer model of the report; each size may be
-- changed. norm post_ln or pre_rms, act gelu or swiglu, pos learned or graph (scripts/graph/positions.lua).
local fail = require 'fail'
local model = require 'model'
local nn = require 'nn'
local positions = require 'graph.positions'
local torch = require 'torch'

local PROFILES = {
  small = { d_model = 256, layers = 4, heads = 4, ff = 1024, vocab = 2000, max_len = 512 },
  published = { d_model = 768, layers = 12, heads = 12, ff = 3072, vocab = 8000, max_len = 4096 },
}

-- U(-1 / sqrt(inputs), 1 / sqrt(inputs)) for queries, keys and values and what joins them, as for every other linear
-- layer; PyTorch's attention draws Xavier's law and biases of 0.
local function draw_attention(attention, d)
  local bound = 1 / math.sqrt(d)
  torch.no_grad(function()
    for _, value in ipairs { attention.in_proj_weight, attention.in_proj_bias, attention.out_proj.bias } do
      value:uniform_(-bound, bound)
    end
  end)
end

local function forward(pad, place)
  return function(m, x)
    if x:dim() ~= 3 or x:size(1) ~= 2 then
      fail.config('models.graphmer: input must be (B, 2, T), ids and relations, got %s', tostring(x.shape))
    end
    local ids, relations = x:select(1, 0), x:select(1, 1)
    local h = place(m, m.embed(ids), ids, relations) + m.relation(relations)
    h = nn.key_padding(ids:eq(pad), function() return nn.key_relations(relations, m.blocks, h) end)
    return m.norm(h)
  end
end

return model.define {
  name = 'models.graphmer',
  args = { profile = { 'string', 'small', one_of = { 'small', 'published' } }, relations = 'int', vocab = 'int?',
    d_model = 'int?', layers = 'int?', heads = 'int?', ff = 'int?', max_len = 'int?', dropout = { 'number', 0.1 },
    rel_bias = { 'boolean', true }, norm = { 'string', 'post_ln', one_of = { 'post_ln', 'pre_rms' } },
    act = { 'string', 'gelu', one_of = { 'gelu', 'swiglu' } },
    pos = { 'string', 'learned', one_of = { 'learned', 'graph' } }, pad = { 'int', 0 }, rel_token = { 'int', 4 } },
  build = function(a)
    local size = {}
    for name, usual in pairs(PROFILES[a.profile]) do size[name] = a[name] or usual end
    if a.relations < 1 then fail.config('models.graphmer: relations must be 1 or more, <none> is one') end
    local d, rms = size.d_model, a.norm == 'pre_rms'
    local net = nn.Container 'models.graphmer'
    net.embed = nn.Embedding { size.vocab, d }
    local place = positions.add(net, a.pos, size.max_len, d, a.rel_token)
    net.relation = nn.Embedding { a.relations, d }
    local blocks = {}
    for i = 1, size.layers do
      blocks[i] = nn.TransformerEncoderLayer { d, size.heads, size.ff, dropout = a.dropout, activation = a.act,
        norm = rms and 'rms' or 'layer', norm_first = rms, relations = a.rel_bias and a.relations or 0 }
      draw_attention(blocks[i].self_attn, d)
    end
    net.blocks = nn.Sequential(blocks)
    net.norm = rms and nn.RMSNorm { d } or nn.LayerNorm { d }
    net.mlm = nn.Linear { d, size.vocab }
    net.mnm = nn.Linear { d, size.vocab }
    net.forward = forward(a.pad, place)
    return net
  end,
}
