-- device_check: the device of a training, the rate of its products, and the least memory that a model of a size takes.
local experiment, models, torch = require 'experiment', require 'models', require 'torch'
local diagnostics = require('lanthorn').diagnostics
local columns = require 'base.columns'

local cfg = experiment.config { train = { device = 'auto' }, sizes = { 'small', 'medium', 'large', 'xl' } }
local COUNTS = { small = 124439808, medium = 354823168, large = 774030080, xl = 1557611200 }

local device = torch.device(cfg.train.device) -- an absent one is an error
local rate = diagnostics.training_gemm(device, 0)
local limit = torch.memory().limit_mb
experiment.check_reads()
print(('device %s, %d threads, fp32 products at %.0f GFLOP/s'):format(device, torch.get_num_threads(), rate / 1e9))
local lines = { { 'GPT-2', 'parameters', 'training MB at least', 's an update of 256 tokens at least', 'fits' } }
for _, size in ipairs(cfg.sizes) do
  local count = COUNTS[size]
  lines[#lines + 1] = { size, ('%d'):format(count), ('%.0f'):format(16 * count / 1e6),
    ('%.2f'):format(6 * count * 256 / rate), limit and (16 * count / 1e6 <= limit and 'yes' or 'no') or 'unknown' }
end
print(table.concat(columns.lines(lines), '\n'))
local net = models.gpt2 { d_model = 48, heads = 4, layers = 2, vocab = 100, max_len = 16 }
net:to(device)
for _, parameter in ipairs(net:named_parameters()) do
  if tostring(parameter.tensor.device) ~= tostring(device) then
    error(('%s is on %s, not on %s'):format(parameter.name, tostring(parameter.tensor.device), tostring(device)), 0)
  end
end
print(('every tensor of a model is where it was sent. Published: 35.6 s an update, which is %.1f GFLOP/s: a CPU, taken '
  .. 'for a GPU.'):format(6 * COUNTS.small * 256 / 35.6 / 1e9))
