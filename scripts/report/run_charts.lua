-- Which charts the report of a run has.
local pretty = require 'pretty'
local series = require 'report.series'

local run_charts = {}

-- Names that begin with a dot: one series for each field of the table that has this name in a line.
local CHARTS = {
  { id = 'loss', title = 'Loss', y = 'loss', log = true, smooth = true,
    rows = { { 'train', 'loss', 'train' }, { 'eval', 'loss', 'val' } } },
  { id = 'terms', title = 'Terms of the loss', y = 'loss', log = true, smooth = true, rows = { { 'train', '.term' } } },
  { id = 'tscore', title = 'T-Score', y = 'T', smooth = true,
    rows = { { 'train', 'tscore', 'of a batch' }, { 'epoch', 'tscore_mean', 'mean of an epoch' } } },
  { id = 'noise', title = 'Gradient noise scale', y = 'samples', log = true,
    rows = { { 'epoch', 'noise_scale', 'of an epoch' } } },
  { id = 'rate', title = 'Learning rate', y = 'rate', log = true, rows = { { 'train', 'lr', 'learning rate' } } },
  { id = 'gradient', title = 'Gradient norm', y = 'norm', log = true, smooth = true,
    rows = { { 'train', 'grad_norm', 'gradient norm' } } },
  { id = 'time', title = 'Time of an update', y = 'ms', log = true, smooth = true,
    rows = { { 'train', 'wall_ms', 'in all' } } },
  { id = 'memory', title = 'Memory', y = 'MB', rows = { { 'epoch', 'rss_mb', 'process' },
    { 'epoch', 'tensor_mb', 'tensors' }, { 'epoch', 'lua_mb', 'Lua' } } },
}

local function kind_of(line) return line.event == 'epoch' and 'epoch' or line.kind end

local function pick(line, add)
  for _, chart in ipairs(CHARTS) do
    for _, row in ipairs(chart.rows) do
      local own = row[1] == kind_of(line) and (row[1] ~= 'eval' or line.split == 'val')
      local field = own and row[2]:match '^%.(.*)'
      if field then
        for name, value in pairs(type(line[field]) == 'table' and line[field] or {}) do
          add(chart.id .. '\n' .. name, line.step, value)
        end
      elseif own then
        add(chart.id .. '\n' .. row[3], line.step, line[row[2]])
      end
    end
  end
end

-- Whether all numbers are above 0, which a logarithmic axis needs.
local function is_positive(list)
  for _, one in ipairs(list) do
    for _, point in ipairs(one.points) do
      if point[2] and point[2] <= 0 then return false end
    end
  end
  return true
end

---The charts of a run that have anything to show.
---@param path string its folder
---@return { id: string, title: string, x: string, y: string, log: boolean, series: table[] }[]
function run_charts.of(path)
  local all, made = series.read(path, { train = true, eval = true, event = true }, pick), {}
  local names = pretty.sorted_keys(all)
  for _, chart in ipairs(CHARTS) do
    local list, order = {}, {}
    for i, row in ipairs(chart.rows) do order[row[3] or ''] = i end
    for _, name in ipairs(names) do
      local id, label = name:match '^(.-)\n(.*)$'
      if id == chart.id then list[#list + 1] = { name = label, points = all[name], smooth = chart.smooth or false } end
    end
    table.sort(list, function(a, b)
      local p, q = order[a.name] or 0, order[b.name] or 0
      return p < q or p == q and a.name < b.name
    end)
    if #list > 0 then
      made[#made + 1] = { id = chart.id, title = chart.title, x = 'updates', y = chart.y, series = list,
        log = chart.log and is_positive(list) or false }
    end
  end
  return made
end

local MOST_ROWS = 100 -- of a chart's table

---The numbers of a chart as rows, evenly chosen where there are many.
---@param chart table
---@return string[] head, string[][] rows, boolean whole
function run_charts.table(chart)
  local head, by_x, places = { chart.x }, {}, {}
  for i, one in ipairs(chart.series) do
    head[i + 1] = one.name
    for _, point in ipairs(one.points) do
      if not by_x[point[1]] then places[#places + 1], by_x[point[1]] = point[1], {} end
      by_x[point[1]][i] = point[2] and ('%.6g'):format(point[2]) or 'not finite'
    end
  end
  table.sort(places)
  local rows, step = {}, math.max(1, math.ceil(#places / MOST_ROWS))
  for k = 1, #places do
    -- The last one always, and those with numbers of the rarer series.
    if k % step == 0 or k == 1 or k == #places then
      local row = { ('%.10g'):format(places[k]) }
      for i in ipairs(chart.series) do row[i + 1] = by_x[places[k]][i] or '' end
      rows[#rows + 1] = row
    end
  end
  return head, rows, step == 1
end

return run_charts
