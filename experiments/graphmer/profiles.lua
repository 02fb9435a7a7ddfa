-- profiles: the published hardware profiles as a table; profile=NAME trains by one, --dry-run says what that would be.
local columns, experiment, fail = require 'base.columns', require 'experiment', require 'fail'
local graphmer, profiles = require 'research.graphmer', require 'research.graphmer_profiles'
local nearest, report = require 'nearest', require 'research.graphmer_report'

local cfg = experiment.config {
  graph = graphmer.section(graphmer.GRAPH, { vocab = 8000 }),
  rows = graphmer.section(graphmer.ROWS),
  model = graphmer.section(graphmer.section(graphmer.MODEL, graphmer.SIZES), { profile = 'published' }),
  objective = graphmer.section(graphmer.OBJECTIVE),
  optim = graphmer.section(graphmer.OPTIM),
  train = { epochs = 100, seed = 1 },
  eval = { val_cap = 20 },
  profile = '', -- gpu4, gpu8, gpu16, rtx3050, rtx3070 or m2; empty: the table
}

local function print_table()
  local rows = { { 'profile', 'for', 'micro-steps', 'of samples', 'an update', 'updates', 'saved every', 'warm-up',
    'ramp', 'clip', 'rate', 'state GB', 'tokens GB' } }
  local function number(value, format) return value and (format or '%d'):format(value) or '-' end
  for i, p in ipairs(profiles.list) do
    local state, kept = profiles.bytes(p, cfg.graph.max_len)
    rows[i + 1] = { p.name, p.machine, number(p.steps), number(p.micro), number(p.micro * p.accum),
      number(profiles.updates(p, p.steps)), number(profiles.updates(p, p.save)),
      number(p.warmup and profiles.updates(p, p.warmup)), number(p.ramp and profiles.updates(p, p.ramp)),
      number(p.clip), number(p.lr or cfg.optim.lr, '%g'), number(state / 1e9, '%.2f'), number(kept / 1e9, '%.2f') }
  end
  print(table.concat(columns.lines(rows), '\n'))
  print '\nupdates, saved every, warm-up, ramp: in updates, rounded up; published, they are in micro-steps. state:'
  print 'weights, gradients and Adam, exact for 12 relations; the published "750 MB" is less than that. tokens: what a'
  print(('backward needs of %d tokens a sample at least, counted and not measured. Run one by profile=NAME.'):format(
    cfg.graph.max_len))
end

if cfg.profile == '' then
  experiment.check_reads()
  experiment.stop_if_dry_run()
  print_table()
  return
end
local profile = profiles.get(cfg.profile)
if not profile then
  fail.config("profile: '%s' is none%s", cfg.profile, nearest.hint(cfg.profile, profiles.names))
end
local own = profiles.apply(cfg, profile, experiment.is_set)
print(('%s, %s: %d updates of %d x %d samples, which are %d micro-steps'):format(profile.name, profile.machine,
  own.train.max_steps, own.train.accumulate, own.rows.batch, own.train.max_steps * own.train.accumulate))
local graph = graphmer.graph(own.graph)
local made = graphmer.fit(own, graph)
print()
report.print({ { 'the model', made.val } }, report.baselines(graph, made.data.val), graph.tokenizer.vocab_size)
