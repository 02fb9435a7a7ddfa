-- A run as Markdown: what was trained on which machine, epoch by epoch, the curves, and where the time went.
local chart = require 'plot.chart'
local columns = require 'base.columns'
local duration = require 'base.duration'
local pretty = require 'pretty'
local run_files = require 'runs.files'
local run_metrics = require 'runs.metrics'
local run_summary = require 'runs.summary'
local run_view = require 'runs.view'

local markdown = {}

local function number(value, form) return value and (form or '%.4f'):format(value) or '' end

local function add(lines, more)
  for _, line in ipairs(more) do lines[#lines + 1] = line end
end

-- Adds up what updates say, by epoch.
local function new_sums() return { n = 0, scored = 0, s = 0, q = 0, corrected = 0, samples = nil } end

local function count_score(sums, line)
  sums.n = sums.n + 1
  if not line.tscore then return end
  sums.scored = sums.scored + 1
  sums.s, sums.q = sums.s + (line.tscore_s or 0), sums.q + (line.tscore_q or 0)
  sums.corrected, sums.samples = sums.corrected + (line.tscore_corrected or 0), line.tscore_n
end

---What the updates of a run came to.
---@param path string its folder
---@return { epochs: table<integer, table>, phases: table<string, number>, updates: integer, step_ms: number[],
---wall_ms: number } phases in ms over all updates
function markdown.updates(path)
  local made = { epochs = {}, phases = {}, updates = 0, step_ms = {}, wall_ms = 0 }
  for line in run_metrics.lines(path, { train = true }) do
    local epoch = math.ceil(line.epoch - 1e-9)
    made.epochs[epoch] = made.epochs[epoch] or new_sums()
    count_score(made.epochs[epoch], line)
    made.updates = made.updates + 1
    made.step_ms[made.updates] = line.step_ms
    made.wall_ms = made.wall_ms + (line.wall_ms or line.step_ms or 0)
    for phase, ms in pairs(line.phase_ms or {}) do made.phases[phase] = (made.phases[phase] or 0) + ms end
  end
  return made
end

-- The rows without those columns that are empty in all but the head.
local function without_empty(rows)
  local narrow = {}
  for r in ipairs(rows) do narrow[r] = {} end
  for i in ipairs(rows[1]) do
    local filled = false
    for r = 2, #rows do filled = filled or rows[r][i] ~= '' end
    for r, row in ipairs(rows) do
      if filled then table.insert(narrow[r], row[i]) end
    end
  end
  return narrow
end

-- A row for each epoch; columns that no epoch has are left out.
local function epoch_table(path, updates)
  local rows, sleeps = {}, {}
  for line in run_metrics.lines(path, { event = true }) do
    if line.event == 'propagation' then sleeps[#sleeps + 1] = line.sleeps_n end
    if line.event == 'tscore_probe' then
      sleeps.probe = sleeps.probe or {}
      sleeps.probe[line.epoch] = line.tscore
    end
  end
  for line in run_metrics.lines(path, { event = true }) do
    if line.event == 'epoch' then
      local sums = updates.epochs[line.epoch] or new_sums()
      local scored = sums.scored > 0 and sums.scored or nil
      rows[#rows + 1] = { ('%d'):format(line.epoch), number(line.train_loss), number(line.val_loss),
        number(line.tscore_mean), scored and number(sums.corrected / scored) or '',
        sleeps.probe and number(sleeps.probe[line.epoch]) or '', scored and number(sums.s / scored, '%.4g') or '',
        scored and number(sums.q / scored, '%.4g') or '', sums.samples and ('%d'):format(sums.samples) or '',
        number(line.noise_scale, '%.1f'), sleeps[line.epoch] and ('%d'):format(sleeps[line.epoch]) or '',
        number(line.train_s, '%.1f'), number(line.eval_s, '%.1f'),
        line.tokens_per_s and pretty.count(math.floor(line.tokens_per_s)) or '' }
    end
  end
  table.insert(rows, 1, { 'epoch', 'train', 'val', 'T', 'T_c', 'T of the first batches', 'S', 'Q', 'N', 'noise scale',
    'sleeps', 'train s', 'eval s', 'tokens/s' })
  return columns.markdown(without_empty(rows))
end

---Where the time of the updates went: a row for each phase, the largest first.
---@param updates table of markdown.updates
---@return string[] lines
function markdown.time(updates)
  local names, rows = pretty.sorted_keys(updates.phases), { { 'phase', 'ms an update', 'in all', 'share' } }
  table.sort(names, function(a, b) return updates.phases[a] > updates.phases[b] end)
  for i, name in ipairs(names) do
    local ms = updates.phases[name]
    rows[i + 1] = { name, ('%.2f'):format(ms / updates.updates), duration.short(ms / 1e3),
      ('%.1f %%'):format(100 * ms / updates.wall_ms) }
  end
  rows[#rows + 1] = { '**all**', ('%.2f'):format(updates.wall_ms / updates.updates),
    duration.short(updates.wall_ms / 1e3), '' }
  return columns.markdown(rows)
end

---Median, 10th and 90th percentile of the time of an update, in ms; the first five of the run are warm-up.
---@param updates table of markdown.updates
---@return number median, number p10, number p90
function markdown.step_ms(updates)
  local sorted = {}
  for i = math.min(6, #updates.step_ms), #updates.step_ms do sorted[#sorted + 1] = updates.step_ms[i] end
  table.sort(sorted)
  local function at(share) return sorted[math.max(1, math.ceil(share * #sorted))] end
  return at(0.5), at(0.1), at(0.9)
end

-- The losses over the epochs, as a picture of characters.
local function curve(full)
  local train, val = { name = 'train loss', x = {}, y = {} }, { name = 'val loss', x = {}, y = {} }
  for i, epoch in ipairs(full.epochs) do
    train.x[i], train.y[i] = epoch.epoch, epoch.train_loss or 0 / 0
    val.x[i], val.y[i] = epoch.epoch, epoch.val_loss or 0 / 0
  end
  if #full.epochs < 2 then return nil end
  return chart.render { series = { train, val }, x_label = 'epoch', width = 80, height = 14, unicode = false,
    colour = false }
end

---A run as lines of Markdown.
---@param run { path: string, id: string, experiment: string }
---@return string[]
function markdown.lines(run)
  local full = run_summary.full(run)
  local machine, data = type(full.machine) == 'table' and full.machine or {}, {}
  for i, one in ipairs(full.data or {}) do
    data[i] = ('%s, %s bytes, %s'):format(one.name, pretty.count(one.bytes or 0), (one.sha256 or ''):sub(1, 19))
  end
  local lines = { '# ' .. run_files.title(run), '', ('%s, %s%s.'):format(full.state, run_view.progress(full),
    full.wall_s and ', ' .. duration.short(full.wall_s) or ''), '' }
  add(lines, columns.markdown {
    { 'what', 'value' },
    { 'command', table.concat(full.argv or {}, ' ') }, { 'seed', tostring(full.seed) }, { 'device', full.device or '' },
    { 'machine', ('%s, %s threads'):format(machine.cpu or '?', tostring(machine.threads or '?')) },
    { 'data', table.concat(data, '; ') },
    { 'best val loss', full.best_val and ('%.4f at update %d'):format(full.best_val, full.best_step) or 'NA' },
    { 'guards', run_summary.guard_ids(full.guards) ~= '' and run_summary.guard_ids(full.guards) or 'none fired' } })
  local updates = markdown.updates(run.path)
  if updates.updates == 0 then return lines end
  add(lines, { '', '## Epochs', '' })
  add(lines, epoch_table(run.path, updates))
  local picture = curve(full)
  if picture then
    add(lines, { '', '```' })
    add(lines, picture)
    lines[#lines + 1] = '```'
  end
  add(lines, { '', '## Where the time went', '' })
  add(lines, markdown.time(updates))
  add(lines, { '', ('An update: %.1f ms in the median, 10th to 90th percentile %.1f to %.1f.')
    :format(markdown.step_ms(updates)) })
  return lines
end

return markdown
