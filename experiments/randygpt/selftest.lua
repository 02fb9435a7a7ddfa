-- selftest: the facts of RandyGPT that need no training: sizes, untrained losses, gradients, work, scaling.
local experiment, models, torch = require 'experiment', require 'models', require 'torch'
local published, scaling = require 'research.published', require 'research.scaling'

local cfg = experiment.config { train = { seed = 1 } }
experiment.check_reads()

local VOCAB = 67
local function of(options)
  torch.manual_seed(cfg.train.seed)
  options.vocab = VOCAB
  return models.randygpt(options)
end

local function untrained(init)
  local net = of { init = init }
  local x = torch.randint(VOCAB, { 32, 64 }, { dtype = 'int64' })
  local y = torch.randint(VOCAB, { 32 * 64 }, { dtype = 'int64' })
  return torch.no_grad(function() return torch.cross_entropy_loss(net(x):view { -1, VOCAB }, y):item() end)
end

local rows = {}
local function add(what, ours, theirs, tag, tolerance, digits)
  rows[#rows + 1] = { what = what, ours = ours, theirs = theirs, tag = tag, tolerance = tolerance, digits = digits }
end
for _, one in ipairs { { 'v0.3', 811776 }, { 'v0.4', 4769280 }, { 'v0.5', 1204992 }, { 'v0.9', 4818432 } } do
  add('parameters of ' .. one[1], of({ version = one[1] }):parameter_count(), one[2], 'derived', 0, 0)
end
add('untrained loss, init gpt2', untrained 'gpt2', math.log(VOCAB), 'derived', 0.02)
add('untrained loss, init v03', untrained 'v03', 5.88, 'measured', 0.5)
add('8 workers, a fifth serial', scaling.amdahl(0.2, 8), 3.33, 'derived', 0.005, 2)
add('serial share of 8.3 times by 12', scaling.serial_share(8.3, 12), 0.041, 'derived', 0.0005, 3)
add('serial share of 7.5 times by 8', scaling.serial_share(7.5, 8), 0.010, 'derived', 0.0006, 3)
add('serial share of 3.7 times by 4', scaling.serial_share(3.7, 4), 0.027, 'derived', 0.0005, 3)
add('GFLOP of an update, products with weights', 6 * (786432 + 8576) * 2048 / 1e9, 9.77, 'derived', 0.005, 2)
add('nats a character of 4.4667 a token', 4.4667 / 4.5, 0.993, 'derived', 0.0005, 3)
add('perplexity a character of that', math.exp(4.4667 / 4.5), 2.70, 'derived', 0.005, 2)
local off = published.print(rows)
print(off == 0 and '\nFound: all of them hold.' or ('\nFound: %d of them do NOT hold.'):format(off))
if off > 0 then error(('%d facts do not hold'):format(off), 0) end
