-- GraphMER's published benchmark beside ours: losses, times, memory, and what its report projected from 20 micro-steps.
local columns = require 'base.columns'
local fail = require 'fail'
local host = require 'host'
local json = require 'json'
local pretty = require 'pretty'
local report = require 'projection.report'
local runner_process = require 'base.runner_process'
local timings = require 'projection.timings'
local torch = require 'torch'

local published = {}

-- Micro-steps, and the time that the report claims for them: linear in 4.55 s, a window of 91 s that held a minute of
-- start-up and a save of 1.2 GB.
local CLAIMED = { { 100, '7.5 min' }, { 500, '38 min' }, { 1000, '1.3 h' }, { 3500, '4.4 h' }, { 6500, '8.2 h' },
  { 10000, '12.6 h' } }
local LOSSES = { [10] = { 17.3577, 7.7632, 8.3186 }, [20] = { 13.5655, 6.0113, 6.7780 } } -- total, code, facts

local function bytes_below(folder)
  local sum = 0
  for _, name in ipairs(host.listdir(folder) or {}) do
    local info = host.stat(folder .. '/' .. name)
    sum = sum + (info.type == 'dir' and bytes_below(folder .. '/' .. name) or info.size)
  end
  return sum
end

---A callback that keeps the records of all updates.
---@param records table[]
---@return table
function published.keep(records)
  return { name = 'records', every = 1, on_step = function(_, record) records[#records + 1] = record end }
end

local function spread(records, value)
  local values = {}
  for i, record in ipairs(records) do values[i] = value(record) end
  local s = timings.spread(values)
  return ('%.0f ms (median; %.0f to %.0f)'):format(s.median, s.p10, s.p90)
end

local function number(value) return value and ('%.4f'):format(value) or '-' end

---Losses of micro-steps 10 and 20, times, memory, the size of a checkpoint.
---@param made table of graphmer.fit
---@param losses { [1]: number, [2]: number?, [3]: number? }[] of all micro-steps: total, code, facts
---@param records table[] of published.keep
function published.tell(made, losses, records)
  local rows = { { 'micro-step', 'loss', 'code', 'facts', 'published', 'code', 'facts' } }
  for _, step in ipairs { 10, 20 } do
    local own, theirs = losses[step] or {}, LOSSES[step]
    rows[#rows + 1] = { tostring(step), number(own[1]), number(own[2]), number(own[3]), number(theirs[1]),
      number(theirs[2]), number(theirs[3]) }
  end
  print(table.concat(columns.lines(rows), '\n'))
  local fit, memory = made.fit, torch.memory()
  print(('\n%s of 4 micro-steps: an update %s, a micro-step (forward and backward) %s'):format(
    pretty.plural(fit.steps, 'update'), spread(records, timings.update_ms), spread(records, timings.micro_step_ms)))
  print 'published: 4,550 ms a micro-step, with start-up and a save; about 1,550 ms without, derived from it'
  print(('memory: tensors %.0f MB at most, process %.0f MB; a checkpoint %.2f GB (published: 1.2 GB)'):format(
    memory.tensor_peak_mb, memory.rss_peak_mb, bytes_below(fit.run .. '/checkpoints/latest') / 1e9))
end

---Projections by `runner project`, in a process of their own.
---@param script string
---@param micro_steps integer
---@param accumulate integer micro-steps of an update
---@param words? string[] further words
---@return table[] projections
function published.projections(script, micro_steps, accumulate, words)
  local rows = {}
  for i, claim in ipairs(CLAIMED) do rows[i] = ('%d'):format(math.ceil(claim[1] / accumulate)) end
  local root = host.getenv 'RUNNER_RESULTS_DIR' or 'results'
  local all = { 'project', script, '--to', ('%d'):format(math.ceil(micro_steps / accumulate)), '--json', '--rows',
    table.concat(rows, ',') }
  for _, word in ipairs(words or {}) do all[#all + 1] = word end
  local output, code = runner_process.run(root, all)
  if code ~= 0 then fail.raise(code, 'runner project %s: %s', script, output) end
  local text = ('\n' .. output):match '\n({.*})' or fail.data('runner project printed no JSON: %s', output)
  return json.decode(text).projections
end

---The report's table beside ours, for each projection.
---@param projections { [1]: string, [2]: table }[] titles and projections
function published.print_projections(projections)
  local rows = { { 'micro-steps' } }
  for _, one in ipairs(projections) do table.insert(rows[1], one[1]) end
  table.insert(rows[1], 'claimed')
  for _, claim in ipairs(CLAIMED) do
    local row = { pretty.count(claim[1]) }
    for _, one in ipairs(projections) do
      local found = '-'
      for _, cost in ipairs(one[2].rows) do
        if cost.updates == math.ceil(claim[1] / one[2].accumulate) then found = report.interval(cost.whole) end
      end
      row[#row + 1] = found
    end
    row[#row + 1] = claim[2]
    rows[#rows + 1] = row
  end
  print(table.concat(columns.lines(rows), '\n'))
end

return published
