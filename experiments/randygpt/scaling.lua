-- scaling: how does the training step of a small GPT scale with threads here? Only measured rows are divided.
local data, experiment, models, torch = require 'data', require 'experiment', require 'models', require 'torch'
local diagnostics, findings = require('lanthorn').diagnostics, require 'compare.findings'
local randygpt, scaling = require 'research.randygpt', require 'research.scaling'

local cfg = experiment.config {
  data = { corpus = 'tinyshakespeare', batch = 32, seq = 64, layout = 'random', batches = 100, bos_eos = true },
  model = { version = 'v0.3', init = 'gpt2' },
  train = { seed = 1 },
  threads = {}, -- empty: 1, 2, 4 and so on up to the cores
  strategies = { 'intra_op', 'replicas' },
  timing = { warm_up = 5, iterations = 20, repeats = 3 },
}

local machine = diagnostics.machine()
local cores, counts = machine.cores or torch.get_num_threads(), cfg.threads
if #counts == 0 then
  for power = 0, 20 do
    if 2 ^ power < cores then counts[#counts + 1] = 2 ^ power end
  end
  counts[#counts + 1] = cores
end
if counts[1] ~= 1 then table.insert(counts, 1, 1) end

local text, rows = data.text(cfg.data), {}
local fast = experiment.current().flags.fast_dev_run
local function build()
  torch.manual_seed(cfg.train.seed)
  return models.randygpt { vocab = text.vocab_size, version = cfg.model.version, init = cfg.model.init }
end
experiment.check_reads()
for _, strategy in ipairs(cfg.strategies) do
  for _, threads in ipairs(counts) do
    if threads > 1 or strategy == cfg.strategies[1] then
      rows[#rows + 1] = scaling.measure { build = build, text = text, strategy = strategy, threads = threads,
        optim = { name = 'adam', lr = 3e-4 }, warm_up = fast and 1 or cfg.timing.warm_up,
        iterations = fast and 2 or cfg.timing.iterations, repeats = fast and 1 or cfg.timing.repeats }
    end
  end
end
scaling.compare(rows)

local function ms(value) return ('%.1f'):format(value) end
local lines = { { 'strategy', 'threads', 'ms an update', 'p10', 'p90', 'CPU / wall', 'speed-up', 'efficiency',
  'sampling', 'forward', 'backward', 'reduce', 'optimizer', 'loss' } }
for _, row in ipairs(rows) do
  local p = row.parts
  lines[#lines + 1] = { row.threads == 1 and '-' or row.strategy, row.threads .. (row.threads > cores and '*' or ''),
    ms(row.median), ms(row.p10), ms(row.p90), ('%.2f'):format(row.cpu),
    row.speed_up and ('%.2f'):format(row.speed_up) or 'different work',
    row.efficiency and ('%.0f %%'):format(100 * row.efficiency) or '', ms(p.sampling), ms(p.forward), ms(p.backward),
    ms(p.reduce), ms(p.optimizer), ('%.6f'):format(row.loss) }
end
randygpt.print(lines)
if cores < counts[#counts] then print(('* more threads than the %d physical cores'):format(cores)) end
for _, strategy in ipairs(cfg.strategies) do
  local serial, why = scaling.fit(rows, strategy, cores)
  print(serial and ('%s: a serial share of %s by least squares (Amdahl)'):format(strategy, findings.number(serial))
    or ('%s: no fit: %s'):format(strategy, why))
end
print(('Load of the machine before: %.2f. Published on 12 cores: 8.3 times [claimed; its CPU use was 8.25], which '
  .. 'would be a serial share of %.3f; 80 %% parallel on 8 cores is %.2f times, not the 6 to 8 of the report.'):format(
  machine.load_average, scaling.serial_share(8.3, 12), scaling.amdahl(0.2, 8)))
