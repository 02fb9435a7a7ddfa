-- thirty_epochs: the report of the 30-epoch benchmark, as Markdown, from runs of shakespeare_30ep. It trains nothing.
--   runner experiments/shakespeare_30ep.lua
--   runner experiments/shakespeare_30ep.lua tscore.every=0 probe.batches=5
--   runner bench gru tscore --peer --json > peer.jsonl
--   runner experiments/godelai/thirty_epochs.lua report.all=RUN report.probe=RUN report.peer=peer.jsonl
local columns, duration, experiment = require 'base.columns', require 'base.duration', require 'experiment'
local fail, files, json, markdown = require 'fail', require 'files', require 'json', require 'runs.markdown'
local run_select, run_summary = require 'runs.select', require 'runs.summary'

local cfg = experiment.config {
  report = { all = 'shakespeare_30ep', probe = experiment.optional 'string', peer = experiment.optional 'string' },
}

local function read(name)
  local run = run_select.one(name)
  local updates = markdown.updates(run.path)
  if updates.updates == 0 then fail.data("run '%s' has no update to report", name) end
  return { run = run, updates = updates, full = run_summary.full(run), median = (markdown.step_ms(updates)) }
end

local function ms_of(one, phase) return (one.updates.phases[phase] or 0) / one.updates.updates end

local function find(name)
  local ok, run = pcall(run_select.one, name)
  return ok and run or nil
end
if not find(cfg.report.all) then
  return print(("no run '%s' to report: train it first, as the beginning of this file says"):format(cfg.report.all))
end
local all = read(cfg.report.all)
local probe = cfg.report.probe and read(cfg.report.probe)
local on_every = all.full.config.tscore.every == 1
print(('# The benchmark: a char GRU on tiny Shakespeare, %d epochs, T-Score %s\n'):format(#all.full.epochs, on_every
  and 'on every batch' or ('every %d batches'):format(all.full.config.tscore.every)))
if all.full.state ~= 'FINISHED' or #all.full.epochs ~= 30 or not on_every then
  print '**Not the benchmark: that is a finished run of 30 epochs with tscore.every=1.**\n'
end
print 'Written by `experiments/godelai/thirty_epochs.lua` from the runs below. Published times were measured by their'
print 'authors, or claimed, on a CPU that they do not name: for orientation, no ratio is formed with them.\n'

local function ms(value) return value and ('%.1f ms'):format(value) or 'NA' end
local rows = {
  { 'what', 'here [measured]', 'published', 'tag' },
  { 'all of it', all.full.wall_s and duration.short(all.full.wall_s) or 'NA', '71 min', 'claimed' },
  { 'forward, a batch', ms(ms_of(all, 'forward')), '315 ms', 'measured' },
  { 'backward, a batch', ms(ms_of(all, 'backward')) .. (on_every and ', norms of all samples in it' or ''), '278 ms',
    'measured' },
  { 'an update with T-Score, median', ms(all.median), '8,386 ms: 64 backwards for T', 'derived' },
}
if probe then
  rows[#rows + 1] = { 'an update without, median', ms(probe.median), '593 ms', 'derived' }
  rows[#rows + 1] = { 'T-Score, a batch', ('%s, %+.1f %%'):format(ms(all.median - probe.median),
    100 * (all.median / probe.median - 1)), '7,793 ms', 'measured' }
  rows[#rows + 1] = { 'all of it, T over the first batches of each epoch', probe.full.wall_s
    and duration.short(probe.full.wall_s) or 'NA', '71 min', 'claimed' }
end
rows[#rows + 1] = { 'best val loss', all.full.best_val and ('%.4f at update %d'):format(all.full.best_val,
  all.full.best_step) or 'NA', 'none', '' }
print(table.concat(columns.markdown(rows), '\n'))

if probe then -- the same training but for the order in which sums are made where norms are taken
  local most = 0
  for i, epoch in ipairs(all.full.epochs) do
    local other = probe.full.epochs[i]
    if other and epoch.train_loss and other.train_loss then
      most = math.max(most, math.abs(epoch.train_loss - other.train_loss))
    end
  end
  print(('\nThe train losses of both runs differ by %.4f at most.'):format(most))
end
if cfg.report.peer then
  local lines, machine = { { 'workload', 'ours', 'PyTorch', 'ratio' } }, nil
  for line in files.read(cfg.report.peer):gmatch '[^\n]+' do
    local row = json.decode(line)
    machine = machine or row.kind == 'machine' and row or nil
    if row.peer_ms and row.ours_ms then
      local name = row.workload and ('%s, %s, %s'):format(row.workload, row.name, row.precision or '') or row.name
      lines[#lines + 1] = { name, ms(row.ours_ms), ms(row.peer_ms), ('%.1f'):format(row.peer_ms / row.ours_ms) }
    end
  end
  print(('\n## Beside PyTorch %s on this machine, in one run\n'):format(machine and machine.peer or '?'))
  print(table.concat(columns.markdown(lines), '\n'))
end
for _, one in ipairs { all, probe } do
  print ''
  for _, line in ipairs(markdown.lines(one.run)) do print((line:gsub('^#', '##'))) end
end
