-- Layers of torch.nn beside the operators they stand for, options by PyTorch's words, and what is said of wrong ones.
local nn = require 'nn'
local t = require 'testing'
local torch = require 'torch'

local function ids(values) return torch.tensor(values, { dtype = 'int64' }) end
local function same(a, b) t.is_true(torch.allclose(a, b, { atol = 1e-6 })) end
local function shape(x) return tostring(x.shape) end

t.test('convolutions are those of the operators, with every option', function()
  torch.manual_seed(1)
  local image, line = torch.randn { 2, 4, 9, 8 }, torch.randn { 2, 4, 9 }
  local c = nn.Conv2d { 4, 6, { 3, 2 }, stride = { 2, 1 }, padding = { 1, 2 }, dilation = { 1, 2 }, groups = 2 }
  same(c(image), torch.conv2d(image, c.weight, c.bias, { 2, 1 }, { 1, 2 }, { 1, 2 }, 2))
  t.equal(tostring(c), 'Conv2d(4, 6, {3, 2}, stride={2, 1}, padding={1, 2}, dilation={1, 2}, groups=2)')
  local d = nn.Conv1d { 4, 6, 3, padding = 1, bias = false }
  same(d(line), torch.conv1d(line, d.weight, nil, { padding = 1 }))
  local e = nn.ConvTranspose2d { 4, 6, 3, stride = 2, padding = 1, output_padding = 1, groups = 2 }
  same(e(image),
    torch.conv_transpose2d(image, e.weight, e.bias, { stride = 2, padding = 1, output_padding = 1, groups = 2 }))
  local f = nn.ConvTranspose1d { 4, 6, 3, 2 }
  same(f(line), torch.conv_transpose1d(line, f.weight, f.bias, { stride = 2 }))
end)

t.test("padding='same' and the padding modes are PyTorch's", function()
  torch.manual_seed(1)
  local image = torch.randn { 2, 3, 7, 6 }
  for _, kernel in ipairs { 1, 2, 3, 4 } do
    local c = nn.Conv2d { 3, 2, kernel, padding = 'same', dilation = 2 }
    same(c(image), torch.conv2d(image, c.weight, c.bias, { padding = 'same', dilation = 2 }))
    t.equal(shape(c(image)), '{2, 2, 7, 6}')
  end
  t.equal(shape(nn.Conv2d { 3, 2, 3, padding = 'valid' }(image)), '{2, 2, 5, 4}')
  for _, mode in ipairs { 'reflect', 'replicate', 'circular' } do
    local c = nn.Conv2d { 3, 2, 3, padding = { 1, 2 }, padding_mode = mode }
    same(c(image), torch.conv2d(torch.pad(image, { 2, 2, 1, 1 }, mode), c.weight, c.bias))
  end
  local function refused(pattern, options) t.error_matches(function() local _ = nn.Conv2d(options) end, pattern) end
  refused("padding 'same' needs stride 1, got 2", { 3, 2, 3, stride = 2, padding = 'same' })
  refused("argument 'padding' must be int%[%] or 'valid' or 'same', got string 'smae'; did you mean 'same'",
    { 3, 2, 3, padding = 'smae' })
  refused("padding_mode must be 'zeros', 'reflect', 'replicate' or 'circular', got 'mirror'",
    { 3, 2, 3, padding_mode = 'mirror' })
  refused('groups must divide in_channels and out_channels, got 2 groups for 3 and 2', { 3, 2, 3, groups = 2 })
  refused('kernel_size must be at least 1, got 0 x 0', { 3, 2, 0 })
  t.error_matches(function() local _ = nn.Conv2d { 3, 2, 3 }(torch.ones { 2, 4, 5, 5 }) end,
    '%[Conv2d%] input must be %(N, 3, H, W%), got %[2, 4, 5, 5%]')
end)

t.test('batch norm uses the batch in training and running averages in eval', function()
  torch.manual_seed(1)
  local x = torch.randn { 6, 3, 4, 5 } * 2 + 1
  local norm = nn.BatchNorm2d { 3, momentum = 0.3 }
  local y = norm(x)
  same(y:mean { 0, 2, 3 }, torch.zeros { 3 })
  same(norm.running_mean, x:mean { 0, 2, 3 } * 0.3)
  same(norm.running_var, x:var({ 0, 2, 3 }) * 0.3 + 0.7)
  t.equal(norm.num_batches_tracked:item(), 1)
  norm:eval()
  local mean, var = norm.running_mean:view { 1, 3, 1, 1 }, norm.running_var:view { 1, 3, 1, 1 }
  same(norm(x), (x - mean) / (var + 1e-5):sqrt())
  t.equal(norm.num_batches_tracked:item(), 1)
  local kept = {}
  for name in pairs(norm:state_dict()) do kept[#kept + 1] = name end
  table.sort(kept)
  t.equal(kept, { 'bias', 'num_batches_tracked', 'running_mean', 'running_var', 'weight' })
  t.equal(#norm:parameters(), 2)
  local bare = nn.BatchNorm1d { 3, affine = false, track_running_stats = false }
  bare:eval()
  same(bare(torch.tensor { { 1, 2, 3 }, { 3, 2, 5 } }):abs(), torch.tensor { { 1, 0, 1 }, { 1, 0, 1 } })
  t.error_matches(function() local _ = nn.BatchNorm1d { 3 }(torch.ones { 1, 3 }) end, 'more than one value per channel')
  t.error_matches(function() local _ = nn.BatchNorm2d { 3 }(torch.ones { 2, 3 }) end,
    '%[BatchNorm2d%] input must be %(N, C, H, W%) with C = 3')
end)

t.test('group norm, pools and shapes are those of the operators', function()
  torch.manual_seed(1)
  local x = torch.randn { 2, 4, 6, 8 }
  local line = x:flatten(2)
  same(nn.GroupNorm { 2, 4 }(x), torch.group_norm(x, 2))
  same(nn.MaxPool2d { 2 }(x), torch.max_pool2d(x, 2))
  same(nn.MaxPool2d { 3, stride = 2, padding = 1 }(x), torch.max_pool2d(x, 3, 2, 1))
  same(nn.MaxPool1d { 3 }(line), torch.max_pool1d(line, 3))
  same(nn.AvgPool2d { { 2, 4 } }(x), torch.avg_pool2d(x, { 2, 4 }))
  same(nn.AvgPool1d { 3, 2, padding = 1, count_include_pad = false }(line),
    torch.avg_pool1d(line, 3, 2, 1, false, false))
  same(nn.AdaptiveAvgPool2d { 1 }(x), x:mean({ 2, 3 }, true))
  same(nn.AdaptiveAvgPool2d { { 3, 2 } }(x), torch.adaptive_avg_pool2d(x, { 3, 2 }))
  same(nn.AdaptiveAvgPool1d { 5 }(line), torch.adaptive_avg_pool1d(line, 5))
  same(nn.AdaptiveMaxPool2d { 1 }(x), x:amax({ 2, 3 }, true))
  t.equal(shape(nn.Flatten()(x)), '{2, 192}')
  t.equal(shape(nn.Flatten { 0, 1 }(x)), '{8, 6, 8}')
  t.equal(shape(nn.Unflatten { 1, { 2, -1 } }(x)), '{2, 2, 2, 6, 8}')
  same(nn.Unfold { { 2, 3 }, padding = 1 }(x), torch.im2col(x, { 2, 3 }, 1, 1, 1))
  same(nn.Fold { { 6, 8 }, 1 }(nn.Unfold { 1 }(x)), x)
  t.is_true(nn.Identity()(x) ~= nil and torch.equal(nn.Identity()(x), x))
  t.error_matches(function() local _ = nn.MaxPool2d { 2, padding = 2 } end,
    'padding must be at most half of kernel_size')
  t.error_matches(function() local _ = nn.GroupNorm { 3, 4 } end,
    'num_groups must divide num_channels, got 3 groups for 4')
end)

t.test('activations are their functions', function()
  local x = torch.linspace(-3, 3, 13):view { 1, 13 }
  same(nn.LeakyReLU { 0.2 }(x), torch.leaky_relu(x, 0.2))
  same(nn.ELU { 2 }(x), torch.elu(x, 2))
  same(nn.CELU { 2 }(x), torch.celu(x, 2))
  same(nn.Softplus { 2, 3 }(x), torch.softplus(x, 2, 3))
  same(nn.Hardtanh { -1, 2 }(x), torch.clamp(x, -1, 2))
  same(nn.GELU { approximate = 'tanh' }(x), torch.gelu(x, { approximate = 'tanh' }))
  same(nn.Softmax { -1 }(x), torch.softmax(x, -1))
  same(nn.LogSoftmax { 1 }(x), torch.log_softmax(x, 1))
  same(nn.PReLU()(x), torch.where(x:gt(0), x, x * 0.25))
  for _, name in ipairs { 'ReLU6', 'SELU', 'Mish', 'Hardsigmoid', 'Hardswish', 'LogSigmoid' } do
    local operator = ({ LogSigmoid = 'log_sigmoid' })[name] or name:lower()
    same(nn[name]()(x), torch[operator](x))
  end
  t.error_matches(function() local _ = nn.Softmax {} end, "argument 'dim' %(int%) is missing")
  t.error_matches(function() local _ = nn.Softmax { 2 }(x) end,
    '%[Softmax%] dim 2 is outside of an input of 2 dimensions')
  t.error_matches(function() local _ = nn.GELU { 'fast' } end, "approximate must be 'none' or 'tanh', got 'fast'")
end)

t.test('layers of several inputs take them side by side', function()
  torch.manual_seed(1)
  local pair = nn.Bilinear { 3, 4, 2 }
  local a, b = torch.randn { 5, 3 }, torch.randn { 5, 4 }
  same(pair(a, b), torch.einsum('bi,oij,bj->bo', { a, pair.weight, b }) + pair.bias)
  t.error_matches(function() pair(a) end, '%[Bilinear%] takes two inputs')
  t.error_matches(function() pair(a, a) end, 'inputs must be %(..., 3%) and %(..., 4%), got %[5, 3%] and %[5, 3%]')
  local values, offsets = ids { 1, 2, 0, 4, 1 }, ids { 0, 2, 2 }
  for _, mode in ipairs { 'sum', 'mean', 'max' } do
    local bag = nn.EmbeddingBag { 5, 3, mode = mode }
    local rows = bag.weight:index_select(0, values)
    local y = bag(values, offsets)
    local op = mode == 'max' and 'amax' or mode
    same(y[0], rows[{ { 0, 2 } }][op](rows[{ { 0, 2 } }], 0))
    same(y[1], torch.zeros { 3 })
    same(y[2], rows[{ { 2, 5 } }][op](rows[{ { 2, 5 } }], 0))
    same(bag(values:view { 1, 5 })[0], rows[op](rows, 0))
  end
  local bag = nn.EmbeddingBag { 5, 3, mode = 'sum' }
  t.error_matches(function() bag(ids { 1, 5 }, ids { 0 }) end,
    "%[EmbeddingBag%] id 5 at %[1%] is outside of the table's 5 rows; ids go from 0 to 4")
  t.error_matches(function() bag(ids { 1, 2 }) end, 'without offsets')
  t.error_matches(function() bag(ids { 1, 2 }, ids { 1 }) end, 'offsets must begin with 0')
end)

t.test('an id out of range is named with its place and the size of the table', function()
  t.error_matches(function() local _ = nn.Embedding { 4, 2 }(ids { { 0, 1 }, { 9, 3 } }) end,
    "%[Embedding%] id 9 at %[1, 0%] is outside of the table's 4 rows; ids go from 0 to 3")
  t.error_matches(function() local _ = nn.Embedding { 4, 2 }(ids { -1 }) end, 'id %-1 at %[0%]')
  t.error_matches(function() torch.embedding(torch.ones { 4, 2 }, ids { 1, 7 }) end,
    'torch.embedding: index 7 is outside of the 4 entries; indices go from 0 to 3\n')
  t.error_matches(function() torch.ones({ 4, 2 }):index_select(1, ids { 2 }) end, 'index 2 is outside of the 2 entries')
end)

t.test("choices that operators number have PyTorch's words", function()
  torch.manual_seed(1)
  local x, y = torch.randn { 4, 3 }, ids { 0, 2, 1, 1 }
  local each = torch.cross_entropy(x, y, { reduction = 'none' })
  same(torch.cross_entropy(x, y, { reduction = 'sum' }), each:sum())
  same(torch.cross_entropy(x, y, { reduction = 'mean' }), each:mean())
  same(torch.cross_entropy(x, y, { reduction = 2 }), each:sum())
  same(torch.mse_loss(x, x * 2, 'sum'), x:square():sum())
  for _, loss in ipairs { 'l1_loss', 'huber_loss', 'smooth_l1_loss' } do
    same(torch[loss](x, x * 2, { reduction = 'sum' }), torch[loss](x, x * 2, { reduction = 'none' }):sum())
  end
  local image, grid = torch.randn { 1, 2, 4, 4 }, torch.rand { 1, 3, 3, 2 } * 3 - 1.5
  same(torch.grid_sampler(image, grid, 'bilinear', 'border', false), torch.grid_sampler(image, grid, 0, 1, false))
  same(torch.grid_sampler(image, grid, 'nearest', 'reflection', true), torch.grid_sampler(image, grid, 1, 2, true))
  local table_of = torch.randn { 5, 2 }
  local function largest(mode) return (torch.embedding_bag(table_of, y, ids { 0, 2 }, { mode = mode })) end
  same(largest 'max', largest(2))
  local message = t.error_matches(function() torch.cross_entropy(x, y, { reduction = 'avg' }) end,
    "torch.cross_entropy_loss: argument")
  t.contains(message, "argument 'reduction' must be int or 'none', 'mean' or 'sum', got string 'avg'")
  t.error_matches(function() torch.mse_loss(x, x, { reduction = 'smu' }) end, "did you mean 'sum'")
end)
