-- scale_mlp: T-Score of networks of growing width on one task: does it say something about size?
local arms, data, experiment, models = require 'arms', require 'data', require 'experiment', require 'models'
local options, torch, train = require 'options', require 'torch', require 'train'

local cfg = experiment.config {
  model = { widths = { 64, 128, 256, 512 } },
  task = { rows = 2048, classes = 10, batch = 64 },
  optim = { name = 'adam', lr = 1e-3 },
  train = { epochs = 10, seed = 1 },
  eval = { metrics = { 'accuracy' } },
  tscore = { every = 1 },
  compare = { seeds = { 1, 2, 3 } },
}

-- Labels of a random linear teacher: something that every width can learn.
local function rows_of(seed, rows)
  local generator = torch.Generator()
  generator:manual_seed(1000 + seed)
  local teacher = torch.randn({ 64, cfg.task.classes }, { generator = generator })
  local x = torch.randn({ rows, 64 }, { generator = generator })
  return x, x:matmul(teacher):argmax { dim = 1 }
end

local list = {}
for i, width in ipairs(cfg.model.widths) do
  list[i] = { ('width %d'):format(width), function(seed)
    local x, y = rows_of(seed, cfg.task.rows + 512)
    local text = data.tensors { x = x:narrow(0, 0, cfg.task.rows), y = y:narrow(0, 0, cfg.task.rows),
      val_x = x:narrow(0, cfg.task.rows, 512), val_y = y:narrow(0, cfg.task.rows, 512), batch = cfg.task.batch,
      shuffle = true, vocab_size = cfg.task.classes }
    torch.manual_seed(seed)
    local model = models.mlp { inputs = 64, outputs = cfg.task.classes, hidden = { width, width } }
    local fit = train.fit { model = model, data = text, optim = cfg.optim, tscore = cfg.tscore, eval = cfg.eval,
      options = options.with(cfg.train, { seed = seed }) }
    local first, last = fit.epochs[1] or {}, fit.epochs[#fit.epochs] or {}
    local function t(epoch) return epoch.tscore and epoch.tscore.mean end
    return { parameters = model:parameter_count(), t_first = t(first), t_last = t(last), val_loss = last.val_loss,
      noise = last.noise and last.noise.scale, step_ms = fit.step_median_s and 1e3 * fit.step_median_s }
  end }
end
local result = arms.run { seeds = cfg.compare.seeds, arms = list }
arms.print(result, { { 't_last', 'T, last epoch' }, { 't_first', 'T, first epoch' }, { 'parameters', 'parameters' },
  { 'noise', 'noise scale' }, { 'val_loss', 'val loss' }, { 'step_ms', 'step ms' } })
print('\n' .. arms.finding(result, 't_last', 'T of the last epoch'))
