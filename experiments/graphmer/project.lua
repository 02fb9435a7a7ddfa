-- project: the published projections beside ours, for rows of 128 and 512 tokens and 4 and 8 micro-steps an update.
local experiment = require 'experiment'
local published = require 'research.graphmer_published'

local cfg = experiment.config {
  script = 'experiments/graphmer/bench_published.lua',
  lengths = { 128, 512 },
  accumulate = { 4, 8 },
  micro_steps = 10000,
  words = experiment.optional('list'), -- further settings of the script, such as {"model.profile=small"}
}

local all = {}
for _, length in ipairs(cfg.lengths) do
  for _, accumulate in ipairs(cfg.accumulate) do
    local words = { ('graph.max_len=%d'):format(length), ('train.accumulate=%d'):format(accumulate) }
    for _, word in ipairs(cfg.words or {}) do words[#words + 1] = word end
    local found = published.projections(cfg.script, cfg.micro_steps, accumulate, words)
    all[#all + 1] = { ('at most %d, %d an update'):format(length, accumulate), found[1] }
  end
end
published.print_projections(all)
for _, one in ipairs(all) do
  local p = one[2]
  print(('%s: %.1f tokens a row, %.0f ms a micro-step, %.0f ms an update, start-up %.1f s'):format(one[1],
    p.lengths and p.lengths.mean or 0 / 0, p.timed.micro_step_ms.median, p.timed.update_ms.median, p.startup_s))
end
print 'The published rate was a window of 91 s with a minute of start-up and a save in it, taken for 20 micro-steps.'
