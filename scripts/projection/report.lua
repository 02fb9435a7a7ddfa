-- A projection as text.
local clock = require 'projection.clock'
local columns = require 'base.columns'
local duration = require 'base.duration'
local host = require 'host'
local pretty = require 'pretty'

local report = {}

local LABEL = 12 -- columns

local function row(label, text) return columns.pad(label, LABEL) .. text end

-- Milliseconds with two digits that say something.
local function ms(value) return (value < 0.995 and '%.2f' or value < 9.95 and '%.1f' or '%.0f'):format(value) end

-- "20 ms", "1.4s", "7m30s"
local function time(seconds) return seconds < 0.995 and ms(1e3 * seconds) .. ' ms' or duration.short(seconds) end

local function spread(s) return ('%s ms median (p10 %s, p90 %s)'):format(ms(s.median), ms(s.p10), ms(s.p90)) end

---"7m30s (7m02s-8m15s)"
---@param total { low_s: number, mid_s: number, high_s: number }
---@return string
function report.interval(total)
  return ('%s (%s-%s)'):format(duration.short(total.mid_s), duration.short(total.low_s),
    duration.short(total.high_s))
end

-- "5 updates, 20 micro-steps"
local function updates_of(updates, micro_steps)
  return ('%s, %s'):format(pretty.plural(updates, 'update'), pretty.plural(micro_steps, 'micro-step'))
end

local function timed_lines(p)
  local t = p.timed
  local lines = { ('%s  device %s%s; timed: %s, after %s of warm-up'):format(p.name, p.device,
      p.device == 'cpu' and (' (%s)'):format(pretty.plural(p.threads, 'thread')) or '',
      updates_of(t.updates, t.micro_steps), pretty.plural(t.warm_up_updates, 'update')),
    row('start-up', ('%s from the start of the process to the first update: data, model, optimiser, checks')
      :format(time(p.startup_s))),
    row('micro-step', spread(t.micro_step_ms) .. ': one forward and backward'),
    row('update', ('%s: one step of the optimiser, after %s'):format(spread(t.update_ms),
      pretty.plural(p.accumulate, 'micro-step'))) }
  local l = p.lengths
  if l then
    lines[#lines + 1] = row('tokens', ('%.1f a row on average without padding, at most %d, over %s; batches at most %d '
      .. 'wide'):format(l.mean, l.longest, pretty.plural(l.rows, 'row'), l.widest))
  end
  return lines
end

local function phase_lines(p)
  local rows, mean = { { 'phase', 'ms a micro-step', 'ms an update', 'share' } }, p.timed.update_ms.mean
  for _, phase in ipairs(p.phases) do
    rows[#rows + 1] = { phase.phase, phase.micro_step_ms and ms(phase.micro_step_ms) or '', ms(phase.update_ms),
      ('%.1f %%'):format(100 * phase.update_ms / mean) }
  end
  return columns.lines(rows)
end

local function beside_lines(p)
  local lines, eval, saved = {}, p.eval, p.checkpoint
  local epoch = pretty.plural(p.epoch_updates, 'update')
  lines[1] = row('eval', not eval and 'none' or ('%s: %s of %s ms, forward alone%s; at the end of each epoch (%s)')
    :format(time(eval.s), pretty.plural(eval.batches, 'batch', 'batches'), ms(1e3 * eval.batch_s),
    eval.timed_batches < eval.batches and (', judged by %d of them'):format(eval.timed_batches) or '', epoch))
  lines[2] = row('checkpoint', not saved and 'none' or ('%s to save, %.1f MB; %s to go on from it'):format(
    time(saved.s), saved.size_mb, time(saved.restore_s)))
  return lines
end

local function cost_lines(p)
  local rows = { { 'updates', 'micro-steps', 'from the beginning', 'from there to ' .. pretty.count(p.to.updates) } }
  for _, cost in ipairs(p.rows) do
    rows[#rows + 1] = { pretty.count(cost.updates), pretty.count(cost.micro_steps), report.interval(cost.whole),
      cost.rest and report.interval(cost.rest) or '' }
  end
  return columns.lines(rows)
end

---@param p table of forecast.of
---@return string[]
function report.lines(p)
  local lines = {}
  local function add(more)
    for _, line in ipairs(more) do lines[#lines + 1] = line end
  end
  add(timed_lines(p))
  add(beside_lines(p))
  for _, flag in ipairs(p.flags) do lines[#lines + 1] = row('note', flag.text) end
  add { '' }
  add(phase_lines(p))
  add { '' }
  add(cost_lines(p))
  add { '', ('%s: %s; %s, %s; %.0f %% of the resamples lie between the two times'):format(
    updates_of(p.to.updates, p.to.micro_steps), report.interval(p.whole), pretty.plural(p.whole.evals, 'eval'),
    pretty.plural(p.whole.checkpoints, 'checkpoint'), p.level_pct),
    'if started now: ' .. clock.range(p.ends.low, p.ends.high, host.unix_time()) }
  return lines
end

---Several lengths beside one another.
---@param projections table[]
---@return string[]
function report.compared(projections)
  local to = projections[1].to.updates
  local rows = { { 'length', 'tokens a row', 'micro-step', 'update', pretty.plural(to, 'update') } }
  for _, p in ipairs(projections) do
    rows[#rows + 1] = { tostring(p.at), p.lengths and ('%.1f'):format(p.lengths.mean) or '',
      ms(p.timed.micro_step_ms.median) .. ' ms', ms(p.timed.update_ms.median) .. ' ms', report.interval(p.whole) }
  end
  return columns.lines(rows)
end

return report
