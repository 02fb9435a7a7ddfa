-- Configurations of GraphMER's own trainer: what they become, and which are refused.
local files = require 'files'
local published = require 'research.graphmer_config'
local runs = require 'testing.runs'
local t = require 'testing'

local CPU = [[
run:
  seed: 1337
  epochs: 5
  gradient_accumulation_steps: 64
  save_interval_steps: 5000
  mixed_precision: false
  deterministic: true
hardware: {device: cpu, num_workers: 0, pin_memory: false}
model:
  hidden_size: 768
  num_layers: 12
  num_heads: 12
  dropout: 0.1
  norm: rmsnorm
  activation: swiglu
  hgat: {enabled: false, layers: 3}
  use_rel_attention_bias: true
optimizer:
  name: adamw
  lr: 2.5e-4
  betas: [0.9, 0.98]
  eps: 1e-8
  scheduler: {name: cosine, warmup_steps: 2000}
training_data: {max_seq_len: 512, micro_batch_size: 1, pack_sequences: false}
objectives: {mlm: {mask_prob: 0.15}, mnm: {mask_prob: 0.20}, mnm_loss_weight: 0.8}
regularizers:
  ontology_constraints: {antisymmetry_weight: 0.15}
  contrastive: {enabled: false, temperature: 0.06}
checkpointing: {activation_checkpointing: true, gradient_checkpointing: true}
notes:
  - nobody reads this
]]

local function written(text)
  local path = t.temporary_path() .. '.yaml'
  files.write(path, text)
  return path
end

local function config(text, leave)
  return { graph = { max_len = 128, vocab = 2000 }, rows = {}, model = { profile = 'small' }, objective = { w_mlm = 1 },
    optim = {}, train = { max_steps = 1000, seed = 1 }, checkpoint = { every = { seconds = 600, steps = 0 } },
    published = { file = written(text), leave = leave or '' } }
end

local function apply(text, leave, set)
  local own = set or {}
  return published.apply(config(text, leave), function(path) return own[path] end)
end

local function problem(text, leave)
  local ok, err = pcall(apply, text, leave)
  t.is_true(not ok, 'accepted')
  return tostring(err)
end

t.test('each setting becomes one of ours; micro-steps become updates', function()
  local made = apply(CPU)
  t.equal(made.train, { seed = 1337, epochs = 5, max_steps = 0, accumulate = 64, precision = 'fp32', device = 'cpu',
    recompute = true })
  t.equal(made.model, { profile = 'published', d_model = 768, layers = 12, heads = 12, dropout = 0.1, norm = 'pre_rms',
    act = 'swiglu', rel_bias = true })
  t.equal(made.optim, { name = 'adamw', lr = 2.5e-4, beta1 = 0.9, beta2 = 0.98, eps = 1e-8, schedule = 'cosine',
    warmup = 32 })
  t.equal(made.graph, { max_len = 512, vocab = 8000 })
  t.equal(made.rows, { batch = 1, text_share = 0.15, fact_share = 0.2 })
  t.equal(made.objective, { w_mlm = 1, w_mnm = 0.8, antisymmetry = 0.15, contrast = 0, tau = 0.06 })
  t.equal(made.checkpoint, { every = { seconds = 600, steps = 79 } })
end)

t.test('the command line wins', function()
  local made = apply(CPU, '', { ['optim.lr'] = true, ['model.profile'] = true })
  t.equal(made.optim.lr, nil)
  t.equal(made.model.profile, 'small')
end)

t.test('a setting that nothing reads is named, with its line and why', function()
  local text = 'run:\n  seed: 1\n  log_interval: 50\nmodel:\n  hidden_sizes: 8\n'
  local message = problem(text)
  t.contains(message, 'nothing here reads these 2 settings')
  t.contains(message, 'line 3: run.log_interval = 50: every update is recorded')
  t.matches(message, "line 5: model.hidden_sizes = 8.*model.hidden_size")
  t.contains(message, 'published.leave=run.log_interval,model.hidden_sizes')
  t.equal(apply(text, 'run.log_interval,model').train.seed, 1)
  t.contains(problem(text, 'run.log_intervals,model'), "the file has no setting 'run.log_intervals'")
end)

t.test('a switch that nothing obeys is refused, and hides nothing', function()
  t.contains(problem 'objectives: {mnm: {enabled: false, mask_prob: 0.2}}\n', 'objectives.mnm.enabled = false')
  t.contains(problem 'optimizer: {enabled: false, lrr: 5}\n', 'these 2 settings')
  t.contains(problem 'model: {hgat: {enabled: false, relation_bias: 3}}\n', 'expected true or false')
end)

t.test('what the file limits is not limited by the script too', function()
  local made = apply 'run: {max_steps: 5000, gradient_accumulation_steps: 4}\n'
  t.equal(made.train.max_steps, 1250)
  t.equal(made.train.epochs, 5000)
end)

t.test('what may stay unread must be unread', function()
  t.contains(problem('run: {seed: 1}\n', 'run.seed'), "'run.seed' is read here")
  local cfg = config('run: {seed: 1}\n', 'run')
  cfg.published.file = ''
  local ok, err = pcall(published.apply, cfg, function() return false end)
  t.is_true(not ok and tostring(err):find 'has no effect without published.file' ~= nil)
end)

t.test('what has no meaning here is refused', function()
  t.contains(problem 'run: {mixed_precision: fp16}\n', "run.mixed_precision is 'fp16'; expected false, fp32 or bf16")
  t.contains(problem 'model: {positional_encoding: alibi}\n', 'expected learned or graph')
  t.contains(problem 'optimizer: {lr: fast}\n', "line 1: optimizer.lr is 'fast'; expected a number")
  t.contains(problem 'optimizer: {betas: 0.9}\n', 'expected two numbers')
  t.contains(problem 'training_data: {pack_sequences: true}\n', 'training_data.pack_sequences = true')
  t.contains(problem('run: {gradient_accumulation_steps: 4}\ntraining_data: {grad_accumulation_steps: 8}\n'),
    'both are train.accumulate here')
  t.contains(problem 'run: {seed: 1.5}\n', 'run.seed is 1.5; expected a whole number from 0 on')
  t.contains(problem 'run: {seed: }\n', 'run.seed is empty')
  t.contains(problem 'run: {gradient_accumulation_steps: 1e30}\n', 'expected a whole number from 1 on')
  t.contains(problem 'objectives: {mlm_loss_weight: -1}\n', 'expected a number from 0 on')
  t.contains(problem 'run: {seed: 1, seed: 2}\n', 'run.seed is given twice')
end)

t.test('a training by such a file', function()
  local folder = t.temporary_folder()
  for n = 1, 6 do
    local lines = { 'import os', '' }
    for i = 1, 4 do
      lines[#lines + 1] = ('def make_%d_%d(a):\n    return os.path.join(str(a), %d)\n'):format(n, i, i)
    end
    files.write(('%s/part%d.py'):format(folder, n), table.concat(lines, '\n'))
  end
  local path = written('run: {seed: 3}\n'
    .. 'model: {hidden_size: 16, num_layers: 1, num_heads: 2, intermediate_size: 32}\n')
  local output, code = runs.command('experiments/graphmer/train.lua', 'graph.dir=' .. folder, 'graph.vocab=300',
    'published.file=' .. path, 'train.max_steps=2', 'model.max_len=128', 'graph.max_len=64')
  t.equal(code, 0, output)
  t.contains(output, '5 of 5 settings taken; 1 micro-step an update')
  output, code = runs.command('experiments/graphmer/train.lua', 'published.file=no/such.yaml')
  t.equal(code, 4, output)
  t.contains(output, 'no/such.yaml')
end)
