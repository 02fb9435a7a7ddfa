-- GPT-2: its sizes, its untrained loss, and Hugging Face's weights with the logits of a PyTorch reference.
local fail = require 'fail'
local files = require 'files'
local gpt2_weights = require 'research.gpt2_weights'
local json = require 'json'
local models = require 'models'
local t = require 'testing'
local torch = require 'torch'

local WEIGHTS = 'tests/golden/gpt2_tiny.safetensors'
local golden = json.decode(files.read 'tests/golden/gpt2_tiny.json')

local function tiny(more)
  local o = {}
  for key, value in pairs(golden.sizes) do o[key] = value end
  for key, value in pairs(more or {}) do o[key] = value end
  return models.gpt2(o)
end

t.test('the small one has 124,439,808 parameters, and knows nothing before it is trained', function()
  torch.manual_seed(1)
  local net = models.gpt2 { dropout = 0 }
  t.equal(net:parameter_count(), 124439808)
  t.is_true(net.head.weight == net.embed.weight)
  local x, y = torch.randint(50257, { 1, 48 }, { dtype = 'int64' }), torch.randint(50257, { 48 }, { dtype = 'int64' })
  local loss = torch.no_grad(function() return torch.cross_entropy_loss(net(x):view { -1, 50257 }, y):item() end)
  t.near(loss, math.log(50257) + 768 * 0.02 ^ 2 / 2, 0.15)
end)

t.test("Hugging Face's weights give the logits of the reference", function()
  local net = tiny { weights = WEIGHTS }
  net:eval()
  local got = torch.no_grad(function() return net(torch.tensor(golden.ids, { dtype = 'int64' })) end)
  local expected = torch.tensor(golden.logits, { dtype = 'float64' })
  t.is_true(torch.allclose(got:double(), expected, { rtol = 1e-4, atol = 1e-5 }))
end)

t.test('weights of another size and of another model are refused by name', function()
  t.error_matches(function() tiny { layers = 3, weights = WEIGHTS } end, 'blocks%.2%.')
  t.error_matches(function() tiny { d_model = 24, weights = WEIGHTS } end, 'embed%.weight')
  local tensors = torch.load(WEIGHTS)
  tensors['h.0.attn.rotary'] = torch.ones { 2 }
  t.error_matches(function() gpt2_weights.renamed(tensors, 'some.safetensors') end,
    "'some.safetensors': 'h.0.attn.rotary' is not a tensor of GPT%-2")
end)

t.test('a size that does not fit into memory is refused with the arithmetic', function()
  local before = torch.memory().limit_mb
  torch.set_memory_limit '2GB'
  local ok, err = pcall(models.gpt2, { size = 'xl' })
  if before then torch.set_memory_limit(('%dMB'):format(before)) end
  t.equal(ok, false)
  t.equal(fail.code_of(err), 9)
  t.matches(tostring(err), '1,557,611,200 parameters; training them takes 16 bytes each .* 24,922 MB, and there are')
end)
