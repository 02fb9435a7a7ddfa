-- Numbers of a run over its updates, thinned: of a stretch of updates the lowest and the highest value stay, so that a
-- peak is seen however long the run was.
local run_metrics = require 'runs.metrics'

local series = {}

local MOST = 2000 -- points of a thinned series, about

-- Collects points of one series; when there are too many, every stretch of `width` points becomes its extremes.
local function new_thinned()
  return { points = {}, width = 1, stretch = {} }
end

local function flush(own)
  local low, high
  for _, point in ipairs(own.stretch) do
    if point[2] == point[2] then -- a number
      if not low or point[2] < low[2] then low = point end
      if not high or point[2] > high[2] then high = point end
    end
  end
  local points = own.points
  if not low then
    points[#points + 1] = own.stretch[1]
  elseif low == high then
    points[#points + 1] = low
  else
    points[#points + 1] = low[1] < high[1] and low or high
    points[#points + 1] = low[1] < high[1] and high or low
  end
  own.stretch = {}
end

local function add(own, x, y)
  own.stretch[#own.stretch + 1] = { x, y }
  if #own.stretch < own.width then return end
  flush(own)
  if #own.points > 2 * MOST then
    local all = own.points
    own.points, own.width = {}, own.width * 2
    for i = 1, #all, 4 do
      own.stretch = { all[i], all[i + 1], all[i + 2], all[i + 3] }
      flush(own)
    end
  end
end

local function finished(own)
  if #own.stretch > 0 then flush(own) end
  local points = {}
  for i, point in ipairs(own.points) do
    local finite = point[2] == point[2] and math.abs(point[2]) < math.huge
    points[i] = { point[1], finite and point[2] or false } -- false: nothing to draw here
  end
  return points
end

---Series of a run by name: those that `pick` finds in each line.
---@param path string its folder
---@param kinds table<string, boolean> of lines
---@param pick fun(line: table, add: fun(name: string, x: number, y: number?))
---@return table<string, number[][]> points {x, y}; y is false where it was not finite
function series.read(path, kinds, pick)
  local all = {}
  local function take(name, x, y)
    if type(x) ~= 'number' or type(y) ~= 'number' then return end
    all[name] = all[name] or new_thinned()
    add(all[name], x, y)
  end
  for line in run_metrics.lines(path, kinds) do pick(line, take) end
  local made = {}
  for name, own in pairs(all) do made[name] = finished(own) end
  return made
end

return series
