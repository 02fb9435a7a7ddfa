-- forecast: can the loss of the next step be told from those before? A linear forecast of the features of the published
-- one and an ensemble of GRUs over the last losses, beside the last value and a mean, on the losses of a run.
local columns, experiment, fail, files = require 'base.columns', require 'experiment', require 'fail', require 'files'
local json, nn, optim = require 'json', require 'nn', require 'optim'
local run_select, torch = require 'runs.select', require 'torch'

local cfg = experiment.config { run = 'latest', train_share = 0.7, ridge = 1e-3,
  gru = { ensemble = 3, hidden = 16, window = 32, updates = 300, lr = 3e-3, batch = 64, seed = 1 } }
experiment.check_reads()

local losses = {}
for line in files.read(run_select.one(cfg.run).path .. '/metrics.jsonl'):gmatch '[^\n]+' do
  local row = json.decode(line)
  if row.kind == 'train' and type(row.loss) == 'number' then losses[#losses + 1] = row.loss end
end

local LONG, SHORT, LEAST = 256, 16, 100
if #losses < LEAST then
  fail.config("run '%s' has the losses of %d updates; a forecast needs %d", cfg.run, #losses, LEAST)
end

local function mean(first, last)
  local sum = 0
  for i = first, last do sum = sum + losses[i] end
  return sum / (last - first + 1)
end

-- What is known before step i: the last loss, mean, deviation, least and largest of the last 256, and the trend and
-- ratio of the last 16 against those before.
local function features(i)
  local first = math.max(1, i - LONG)
  local m, low, high, squares = mean(first, i - 1), math.huge, -math.huge, 0
  for k = first, i - 1 do
    low, high, squares = math.min(low, losses[k]), math.max(high, losses[k]), squares + (losses[k] - m) ^ 2
  end
  local now, before = mean(i - SHORT, i - 1), mean(i - 2 * SHORT, i - SHORT - 1)
  return { 1, losses[i - 1], m, math.sqrt(squares / (i - first)), low, high, now, now - before, now / before }
end

local x, y = {}, {}
for i = 2 * SHORT + 1, #losses do
  x[#x + 1], y[#y + 1] = features(i), { losses[i] }
end
local cut = math.floor(cfg.train_share * #x)
local X, Y = torch.tensor(x, { dtype = 'float64' }), torch.tensor(y, { dtype = 'float64' })
local fitted_x, fitted_y = X:narrow(0, 0, cut), Y:narrow(0, 0, cut)
local gram = torch.matmul(fitted_x:t(), fitted_x) + cfg.ridge * torch.eye(X:size(1), { dtype = 'float64' })
local weights = torch.linalg_solve(gram, torch.matmul(fitted_x:t(), fitted_y))
local rest_x, rest_y = X:narrow(0, cut, #x - cut), Y:narrow(0, cut, #x - cut)
local function error_of(forecast) return (forecast - rest_y):abs():mean():item() end

-- A GRU over the last losses, each as its distance from the mean of the last 16 in units of their spread, tells the
-- next one's distance. Fitted on the first share alone.
local g, spread = cfg.gru, X:narrow(1, 3, 1):narrow(0, 0, cut):mean():item()
local function window(i)
  local at, seen = x[i][7], {}
  local step = i + 2 * SHORT -- of the loss that is told
  for k = 1, g.window do seen[k] = { (losses[math.max(1, step - g.window + k - 1)] - at) / spread } end
  return seen
end
local windows = {}
for i = 1, #x do windows[i] = window(i) end
local seen, distance = torch.tensor(windows), ((Y - X:narrow(1, 6, 1)) / spread):to 'float32'

local function gru_forecast(seed)
  torch.manual_seed(seed)
  local rnn, head = nn.GRU { 1, g.hidden }, nn.Linear { g.hidden, 1 }
  local net = nn.Sequential { { 'rnn', rnn }, { 'head', head } }
  local optimizer = optim.Adam(net, { lr = g.lr })
  local function told(rows) return head(rnn(rows):narrow(1, g.window - 1, 1):squeeze(1)) end
  for _ = 1, g.updates do
    local picked = torch.randint(cut, { g.batch })
    optimizer:zero_grad()
    ;(told(seen:index_select(0, picked)) - distance:index_select(0, picked)):square():mean():backward()
    optimizer:step()
  end
  return torch.no_grad(function() return told(seen:narrow(0, cut, #x - cut)) end)
end

local sum
for k = 1, g.ensemble do
  local own = gru_forecast(g.seed + k - 1)
  sum = sum and sum + own or own
end
local ensemble = (sum / g.ensemble):to 'float64' * spread + rest_x:narrow(1, 6, 1)

local linear, gru = error_of(torch.matmul(rest_x, weights)), error_of(ensemble)
local last, average = error_of(rest_x:narrow(1, 1, 1)), error_of(rest_x:narrow(1, 6, 1))
local function row(name, value) return { name, ('%.5f'):format(value) } end
print(table.concat(columns.lines { { 'forecast', 'mean absolute error, nats' }, row('linear', linear),
  row(('%d GRUs'):format(g.ensemble), gru), row('the last loss', last),
  row('the mean of the last 16', average) }, '\n'))
local function beside(value) return ('%+.1f %%'):format(100 * (value / average - 1)) end
print(('\nFound: over %d steps that nothing was fitted on, beside the mean of the last 16 the linear forecast is off '
  .. 'by %s, that of the GRUs by %s.'):format(#x - cut, beside(linear), beside(gru)))
