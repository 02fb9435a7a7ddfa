-- char_rnn: Embedding -> GRU or LSTM -> Linear. in: ids (B, T); out: logits (B, T, V) and the recurrent state.
-- State-dict names embed.*, rnn.*, head.*; initial values as PyTorch draws them in that order.
local model = require 'model'
local nn = require 'nn'

return model.define {
  name = 'models.char_rnn',
  args = { vocab = 'int', cell = { 'string', 'gru', one_of = { 'gru', 'lstm' } }, embed = { 'int', 128 },
    hidden = { 'int', 256 }, layers = { 'int', 2 }, dropout = { 'number', 0 } },
  build = function(a)
    local rnn = a.cell == 'gru' and nn.GRU or nn.LSTM
    local embed = nn.Embedding { a.vocab, a.embed }
    local body = rnn { a.embed, a.hidden, num_layers = a.layers, dropout = a.dropout }
    return nn.Sequential { { 'embed', embed }, { 'rnn', body }, { 'head', nn.Linear { a.hidden, a.vocab } } }
  end,
}
