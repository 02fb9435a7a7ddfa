-- forecast: can the loss of the next step be told from those before? A linear forecast of the features of the published
-- one beside the last value, on the losses of a run.
local columns, experiment, fail, files = require 'base.columns', require 'experiment', require 'fail', require 'files'
local json, run_select, torch = require 'json', require 'runs.select', require 'torch'

local cfg = experiment.config { run = 'latest', train_share = 0.7, ridge = 1e-3 }
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
local linear = error_of(torch.matmul(rest_x, weights))
local last, average = error_of(rest_x:narrow(1, 1, 1)), error_of(rest_x:narrow(1, 6, 1))
print(table.concat(columns.lines { { 'forecast', 'mean absolute error, nats' }, { 'linear', ('%.5f'):format(linear) },
  { 'the last loss', ('%.5f'):format(last) }, { 'the mean of the last 16', ('%.5f'):format(average) } }, '\n'))
print(('\nFound: over %d steps that it was not fitted on, the linear forecast is %s the mean of the last 16.'):format(
  #x - cut, linear < average and 'nearer than' or 'not nearer than'))
