-- train.generate: what attention keeps changes no text, texts side by side are those drawn alone, and bad input.
local data = require 'data'
local models = require 'models'
local nn = require 'nn'
local t = require 'testing'
local texts = require 'testing.texts'
local torch = require 'torch'
local train = require 'train'

local function text_of(more)
  local o = { file = t.write_file(texts.words(4000), '.txt'), batch = 2, seq = 16, stride = 16 }
  for key, value in pairs(more or {}) do o[key] = value end
  return data.text(o)
end

local text = text_of()

local function gpt(more)
  torch.manual_seed(3)
  local o = { vocab = text.vocab_size, max_len = 24, d_model = 16, heads = 4, ff = 32, layers = 2, norm_first = true }
  for key, value in pairs(more or {}) do o[key] = value end
  local net = models.transformer_lm(o)
  torch.no_grad(function() net.head.weight:mul_(8) end) -- some tokens more likely than others
  return net
end

local KINDS = {
  gpt2 = { activation = 'gelu_tanh', tied = true },
  rms = { norm = 'rms', norm_gain = false, final_norm = false, bias = false, activation = 'relu2' },
  swiglu = { activation = 'swiglu', positions = 'sinusoidal' },
  post = { norm_first = false },
}

t.test('with and without a cache the text is the same, also beyond the context', function()
  for name, more in pairs(KINDS) do
    local net = gpt(more)
    for _, o in ipairs { { length = 15 }, { length = 60 }, { length = 40, top_k = 3 }, { length = 40, top_p = 0.8 },
      { length = 40, temperature = 0 } } do
      o.prompt, o.seed = 'the ', 5
      local kept = train.generate(net, text, o)
      o.cache = false
      t.equal(train.generate(net, text, o), kept, name)
      t.equal(#kept, o.length)
    end
  end
end)

t.test('texts side by side are those drawn alone', function()
  for _, net in ipairs { gpt(), models.char_rnn { vocab = text.vocab_size, embed = 8, hidden = 16, layers = 2 } } do
    local prompts = { 'the ', 'a', 'some more' }
    local all, cost = train.generate(net, text, { prompts = prompts, n = 2, length = 12, seed = 7 })
    t.equal(#all, 6)
    t.equal(cost.tokens, 72)
    t.is_true(cost.seconds > 0)
    for i, prompt in ipairs(prompts) do
      for j = 1, 2 do
        local place = 2 * (i - 1) + j
        t.equal(all[place], train.generate(net, text, { prompt = prompt, length = 12, seed = 6 + place }))
      end
    end
    t.is_true(all[1] ~= all[2])
  end
end)

t.test('a tiny top_p and a temperature of 0 take the most likely, a top_p of 1 restricts nothing', function()
  local net = gpt()
  local function draw(o)
    o.prompt, o.length, o.seed = 'the ', 30, 2
    return train.generate(net, text, o)
  end
  local likely = draw { temperature = 0 }
  t.equal(draw { top_p = 1e-6 }, likely)
  t.equal(draw { top_k = 1 }, likely)
  t.equal(draw { top_p = 1 }, draw {})
  t.equal(draw { top_k = text.vocab_size }, draw {})
  t.is_true(draw {} ~= likely)
end)

t.test('prompt and text together have at most `most` tokens', function()
  t.equal(#train.generate(gpt(), text, { prompt = 'the ', length = 100, most = 16 }), 12)
  t.equal(train.generate(gpt(), text, { prompt = 'the ', length = 100, most = 3 }), '')
end)

t.test('a model in Lua, and one that looks both ways, read all before each time', function()
  local net = gpt()
  local outer = nn.Container 'Outer'
  outer.net = net
  outer.forward = function(m, x) return m.net(x) end
  local o = { prompt = 'the ', length = 40, seed = 1 }
  t.equal(train.generate(outer, text, o), train.generate(net, text, o))
  local both = gpt { causal = false }
  local kept = train.generate(both, text, o)
  o.cache = false
  t.equal(train.generate(both, text, o), kept)
end)

t.test('what is drawn ends at the end of a text', function()
  local marked = text_of { bos_eos = true }
  t.equal(marked.vocab_size, text.vocab_size + 2)
  t.equal(marked:decode(marked:encode 'the end'), 'the end')
  t.equal(marked:encode('the'):min():item() >= 2, true)
  t.is_true(marked:vocab_sha256() ~= text:vocab_sha256())
  local net = gpt { vocab = marked.vocab_size }
  torch.no_grad(function() net.head.bias[1] = 1e4 end)
  t.equal(train.generate(net, marked, { prompt = 'the ', length = 20 }), '')
end)

t.test('bad input is told', function()
  local net = gpt()
  local function refused(words, o)
    o.length = o.length or 3
    t.error_matches(function() train.generate(net, text, o) end, words)
  end
  refused('the prompt must hold at least one token', { prompt = '' })
  refused("character '☃' %(U%+2603%) is not in the vocabulary of %d+ characters", { prompt = 'a ☃' })
  refused('the prompt has 30 tokens, the model takes 24 %(max_len%); shorten it', { prompt = ('a'):rep(30) })
  refused("give 'prompt' or 'prompts', not both", { prompt = 'a', prompts = { 'b' } })
  refused("option 'temperature' must be at least 0, got %-1", { prompt = 'a', temperature = -1 })
  refused('top_p must be in %(0, 1%]', { prompt = 'a', top_p = 0 })
end)
