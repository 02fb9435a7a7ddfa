-- What the keys of a sweep do to its metric: the share of the variance that each explains alone, and the means of two
-- keys as a grid. Cells, not configurations, are counted, so that the seed is a key like others.
local columns = require 'base.columns'
local findings = require 'compare.findings'
local statistics = require 'statistics'

local effects = {}

local BINS = 4          -- of a key with a value of its own in each cell
local MOST_ROWS, MOST_COLUMNS = 12, 8

-- path -> text of a cell's settings.
local function settings_of(cell)
  local found = {}
  for _, text in ipairs(cell.set) do
    local path, value = text:match '^%+*([^=]*)=(.*)$'
    if path then found[path] = value end
  end
  return found
end

local function by_number(a, b)
  local x, y = tonumber(a), tonumber(b)
  if x and y then return x < y end
  return a < b
end

-- The keys that vary, in the order of the first cell, with their values.
local function keys_of(rows)
  local keys = {}
  for _, text in ipairs(rows[1].cell.set) do
    local path = text:match '^%+*([^=]*)='
    local seen, values = {}, {}
    for _, row in ipairs(rows) do
      local value = path and row.settings[path]
      if value and not seen[value] then seen[value], values[#values + 1] = true, value end
    end
    table.sort(values, by_number)
    if #values > 1 then keys[#keys + 1] = { path = path, values = values } end
  end
  return keys
end

-- The group of each value: itself, or a quarter of the range of ranks where nearly every cell has one of its own.
local function groups_of(key, count)
  local groups, is_binned = {}, #key.values > count / 2 and #key.values > BINS
  for i, value in ipairs(key.values) do
    groups[value] = is_binned and math.floor((i - 1) * BINS / #key.values) + 1 or i
  end
  return groups, is_binned and BINS or #key.values
end

-- The share of the variance between groups, less what as many groups would explain of noise alone.
local function explained(rows, key)
  local groups, count = groups_of(key, #rows)
  local all, by_group = {}, {}
  for i, row in ipairs(rows) do
    all[i] = row.value
    local group = groups[row.settings[key.path]]
    by_group[group] = by_group[group] or {}
    table.insert(by_group[group], row.value)
  end
  local centre, total, within = statistics.mean(all), 0, 0
  for _, value in ipairs(all) do total = total + (value - centre) ^ 2 end
  for _, values in pairs(by_group) do
    local own = statistics.mean(values)
    for _, value in ipairs(values) do within = within + (value - own) ^ 2 end
  end
  if total == 0 or #rows <= count then return nil end
  return math.max(0, 1 - within / (#rows - count) / (total / (#rows - 1)))
end

local function importance(rows, keys, name)
  local shares, width = {}, 0
  for _, key in ipairs(keys) do
    local share = explained(rows, key)
    if share then
      shares[#shares + 1] = { path = key.path, share = share }
      width = math.max(width, #key.path)
    end
  end
  if #shares == 0 then return {} end
  table.sort(shares, function(a, b)
    if a.share == b.share then return a.path < b.path end
    return a.share > b.share
  end)
  local lines = { ('share of the variance of %s that each key explains alone (adjusted R2 of its means)'):format(name) }
  for _, one in ipairs(shares) do
    lines[#lines + 1] = ('  %s%s  %3.0f %%'):format(one.path, (' '):rep(width - #one.path), 100 * one.share)
  end
  return lines
end

local function grid(rows, keys, name)
  local axes = {}
  for _, key in ipairs(keys) do
    if key.path ~= 'train.seed' then axes[#axes + 1] = key end
  end
  if #axes ~= 2 or #axes[1].values > MOST_ROWS or #axes[2].values > MOST_COLUMNS then return {} end
  local sums = {}
  for _, row in ipairs(rows) do
    local key = row.settings[axes[1].path] .. '\0' .. row.settings[axes[2].path]
    sums[key] = sums[key] or {}
    table.insert(sums[key], row.value)
  end
  local table_rows = { { ('%s \\ %s'):format(axes[1].path, axes[2].path), unpack(axes[2].values) } }
  for _, first in ipairs(axes[1].values) do
    local cells = { first }
    for _, second in ipairs(axes[2].values) do
      local values = sums[first .. '\0' .. second]
      cells[#cells + 1] = values and findings.number(statistics.mean(values)) or '-'
    end
    table_rows[#table_rows + 1] = cells
  end
  local lines = { ('means of %s'):format(name) }
  for _, line in ipairs(columns.lines(table_rows)) do lines[#lines + 1] = '  ' .. line end
  return lines
end

---@param rows { cell: table, value: number? }[] of sweep.status
---@param name string the metric
---@return string[] lines none where nothing can be said
function effects.lines(rows, name)
  local known = {}
  for _, row in ipairs(rows) do
    if row.value then known[#known + 1] = { cell = row.cell, value = row.value, settings = settings_of(row.cell) } end
  end
  if #known < 3 then return {} end
  local keys = keys_of(known)
  local lines = importance(known, keys, name)
  for _, line in ipairs(grid(known, keys, name)) do lines[#lines + 1] = line end
  return lines
end

return effects
