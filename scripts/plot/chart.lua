-- Curves in the terminal: braille or ASCII by locale, with axes, in as many columns as there are.
local canvas = require 'plot.canvas'
local console = require 'console'
local encoding = require 'base.encoding'
local fail = require 'fail'

local chart = {}

local COLOURS = { '36', '33', '35', '32', '31' } -- of the curves in turn
local MARGIN = 10 -- columns of the y axis
local LEAST, MOST = 40, 200

local function finite(x) return x == x and x ~= math.huge and x ~= -math.huge end

-- Points that can be drawn, in the scale of the axes.
local function scaled(series, o)
  local points = {}
  for i, x in ipairs(series.x) do
    local y = series.y[i]
    if y ~= nil and finite(x) and finite(y) and (not o.x_log or x > 0) and (not o.y_log or y > 0) then
      points[#points + 1] = { o.x_log and math.log10(x) or x, o.y_log and math.log10(y) or y }
    end
  end
  return points
end

local function range_of(all, index)
  local low, high
  for _, points in ipairs(all) do
    for _, point in ipairs(points) do
      low, high = math.min(low or point[index], point[index]), math.max(high or point[index], point[index])
    end
  end
  if low == high then
    local around = math.max(1e-9, math.abs(low) * 0.05)
    low, high = low - around, high + around
  end
  return low, high
end

-- Dense curves are drawn as the range of each column of dots, so that no peak is lost; others as lines.
local function draw(picture, points, number, place)
  if #points <= picture.width then
    for i, point in ipairs(points) do
      local x, y = place(point)
      local from = points[i - 1]
      local before_x, before_y
      if from then before_x, before_y = place(from) end
      picture:line(before_x or x, before_y or y, x, y, number)
    end
    return
  end
  local lows, highs, last_x, last_y = {}, {}, nil, nil
  for _, point in ipairs(points) do
    local x, y = place(point)
    lows[x], highs[x] = math.min(lows[x] or y, y), math.max(highs[x] or y, y)
    if last_x and last_x ~= x then picture:line(last_x, last_y, x, y, number) end
    last_x, last_y = x, y
  end
  for x, low in pairs(lows) do picture:line(x, low, x, highs[x], number) end
end

-- Three or four significant digits.
local function label(value, is_log)
  local x = is_log and 10 ^ value or value
  if x == 0 then return '0' end
  local size = math.abs(x)
  if size >= 1e5 or size < 1e-3 then return (('%.1e'):format(x):gsub('e([+-])0', 'e%1')) end
  return size >= 1000 and ('%.0f'):format(x) or ('%.4g'):format(x)
end

local function legend(o, used, paint, unicode)
  local parts = {}
  for _, number in ipairs(used) do
    local mark = unicode and '━━' or canvas.mark(number)
    parts[#parts + 1] = paint(mark, number) .. ' ' .. (o.series[number].name or ('curve ' .. number))
  end
  return (o.title and o.title .. '   ' or '') .. table.concat(parts, '   ')
end

local function x_axis(o, width, low, high, unicode)
  local left, right = label(low, o.x_log), label(high, o.x_log)
  local middle = o.x_label or ''
  local room = width - #left - #right
  local before = math.max(1, math.floor((room - #middle) / 2))
  local after = math.max(1, room - before - #middle)
  local indent = (' '):rep(MARGIN)
  return {
    (' '):rep(MARGIN - 1) .. (unicode and '└' .. ('─'):rep(width) or '+' .. ('-'):rep(width)),
    indent .. left .. (' '):rep(before) .. middle .. (' '):rep(after) .. right,
  }
end

---The lines of a chart.
---@param o { series: { x: number[], y: number[], name: string? }[], title: string?, x_label: string?,
---x_log: boolean?, y_log: boolean?, width: integer?, height: integer?, unicode: boolean?, colour: boolean? }
---@return string[]
function chart.render(o)
  local unicode, colour = o.unicode, o.colour
  if unicode == nil then unicode = encoding.is_unicode() end
  if colour == nil then colour = console.has_colour(1) end
  local width = math.max(LEAST, math.min(MOST, o.width or console.columns() - 1)) - MARGIN - 1
  local height = math.max(4, o.height or 12)
  local all, used = {}, {}
  for i, series in ipairs(o.series) do
    all[i] = scaled(series, o)
    if #all[i] > 0 then used[#used + 1] = i end
  end
  if #used == 0 then fail.data('%s: there are no numbers to draw', o.title or 'plot') end
  local x_low, x_high = range_of(all, 1)
  local y_low, y_high = range_of(all, 2)
  local picture = canvas.new(width, height, unicode)
  local function place(point)
    return math.floor((point[1] - x_low) / (x_high - x_low) * (picture.width - 1) + 0.5),
      math.floor((point[2] - y_low) / (y_high - y_low) * (picture.height - 1) + 0.5)
  end
  local function paint(text, number)
    return colour and ('\27[%sm%s\27[0m'):format(COLOURS[(number - 1) % #COLOURS + 1], text) or text
  end
  for _, number in ipairs(used) do draw(picture, all[number], number, place) end
  local lines = { legend(o, used, paint, unicode) }
  for row, text in ipairs(picture:text(paint)) do
    local at = (height - row) / (height - 1)
    local marked = row == 1 or row == height or row == math.floor((height + 1) / 2)
    local value = marked and label(y_low + at * (y_high - y_low), o.y_log) or ''
    lines[#lines + 1] = ('%' .. (MARGIN - 2) .. 's %s%s'):format(value,
      unicode and (marked and '┤' or '│') or (marked and '+' or '|'), text)
  end
  for _, line in ipairs(x_axis(o, width, x_low, x_high, unicode)) do lines[#lines + 1] = line end
  return lines
end

---Prints a chart to stdout.
---@param o table of chart.render
function chart.print(o)
  console.write(table.concat(chart.render(o), '\n') .. '\n')
end

return chart
