-- The axes of a sweep, from words of the command line:
--   path=a,b,c                     a list, in the order written; commas inside of [] {} '' belong to a value
--   path=range(lo,hi[,step])       lo, lo + step ... below hi
--   path=linspace(lo,hi,n)         n numbers from lo to hi
--   path=logspace(lo,hi,n)         the same with equal ratios
--   path=uniform(lo,hi)            drawn anew for each trial, as are
--   path=loguniform(lo,hi), path=int(lo,hi), path=choice(a,b,c)
--   zip(path=a,b;other=c,d)        lists of one length that go along together
--   seeds=N                        train.seed = s ... s + N - 1 for every cell
-- A word that is none of these is an override of all cells. What a value means is decided by the default that it
-- replaces (config/tree.lua): here it stays text.
local fail = require 'fail'
local overrides = require 'config.overrides'
local pretty = require 'pretty'

local axes = {}

local MOST_VALUES = 100000

-- The texts of a list's values, split at commas that no bracket or quote holds.
local function split_values(text, whole)
  local values, depth, quote, from = {}, 0, nil, 1
  for at = 1, #text do
    local c = text:sub(at, at)
    if quote then
      if c == quote then quote = nil end
    elseif c == "'" or c == '"' then
      quote = c
    elseif c:find '[%[{(]' then
      depth = depth + 1
    elseif c:find '[%]})]' then
      depth = depth - 1
    elseif c == ',' and depth == 0 then
      values[#values + 1] = text:sub(from, at - 1)
      from = at + 1
    end
  end
  values[#values + 1] = text:sub(from)
  for i, value in ipairs(values) do
    values[i] = value:match '^%s*(.-)%s*$'
    overrides.parse_value(values[i], whole) -- a syntax error is told before anything starts
  end
  return values
end

local function numbers_of(name, text, least, most, whole)
  local found = {}
  for word in (text .. ','):gmatch '%s*([^,]*),' do
    local number = tonumber(word)
    if not number or number ~= number or math.abs(number) == math.huge then
      fail.config("axis '%s': %s takes numbers, got '%s'", whole, name, word)
    end
    found[#found + 1] = number
  end
  if #found < least or #found > most then
    fail.config("axis '%s': %s takes %s numbers, got %d", whole, name,
      least == most and tostring(least) or ('%d or %d'):format(least, most), #found)
  end
  return unpack(found)
end

local function spaced(count, whole, value)
  if count ~= math.floor(count) or count < 1 then
    fail.config("axis '%s': the number of values must be a whole number from 1, got %s", whole, pretty.number(count))
  end
  if count > MOST_VALUES then
    fail.config("axis '%s': %s values are more than %d", whole, pretty.count(count), MOST_VALUES)
  end
  local values = {}
  -- To so many digits that 0.1 + 2 * 0.1 is 0.3, and a third fits a table.
  for i = 0, count - 1 do values[i + 1] = pretty.number(tonumber(('%.10g'):format(value(i)))) end
  return values
end

-- The value at `i` of `count` between two ends that are met exactly.
local function between(lo, hi, i, count)
  if i == 0 then return lo end
  return i == count - 1 and hi or lo + (hi - lo) * i / (count - 1)
end

local function check_ends(name, lo, hi, whole, positive)
  if lo >= hi then
    fail.config("axis '%s': %s from %s to %s is empty; the first number must be the smaller one", whole, name,
      pretty.number(lo), pretty.number(hi))
  end
  if positive and lo <= 0 then
    fail.config("axis '%s': %s needs numbers above 0, got %s", whole, name, pretty.number(lo))
  end
end

-- What path=name(...) stands for: a list of values, or how they are drawn.
local FUNCTIONS = {}

function FUNCTIONS.range(text, whole)
  local lo, hi, step = numbers_of('range', text, 2, 3, whole)
  step = step or 1
  if step <= 0 then fail.config("axis '%s': the step must be above 0, got %s", whole, pretty.number(step)) end
  check_ends('range', lo, hi, whole)
  local count = math.ceil((hi - lo) / step - 1e-9)
  return { values = spaced(count, whole, function(i) return lo + i * step end) }
end

function FUNCTIONS.linspace(text, whole)
  local lo, hi, count = numbers_of('linspace', text, 3, 3, whole)
  check_ends('linspace', lo, hi, whole)
  return { values = spaced(count, whole, function(i) return between(lo, hi, i, count) end) }
end

function FUNCTIONS.logspace(text, whole)
  local lo, hi, count = numbers_of('logspace', text, 3, 3, whole)
  check_ends('logspace', lo, hi, whole, true)
  return { values = spaced(count, whole, function(i)
    if i == 0 or i == count - 1 then return i == 0 and lo or hi end
    return math.exp(between(math.log(lo), math.log(hi), i, count))
  end) }
end

local function drawn(name, positive, whole_numbers)
  return function(text, whole)
    local lo, hi = numbers_of(name, text, 2, 2, whole)
    check_ends(name, lo, hi, whole, positive)
    if whole_numbers and (lo ~= math.floor(lo) or hi ~= math.floor(hi)) then
      fail.config("axis '%s': int takes whole numbers, got %s and %s", whole, pretty.number(lo), pretty.number(hi))
    end
    return { draw = name, lo = lo, hi = hi }
  end
end
FUNCTIONS.uniform = drawn('uniform')
FUNCTIONS.loguniform = drawn('loguniform', true)
FUNCTIONS.int = drawn('int', false, true)

function FUNCTIONS.choice(text, whole)
  return { draw = 'choice', choices = split_values(text, whole) }
end

local function split_word(word)
  local op, path, text = word:match '^(%+?%+?)([^=+]+)=(.*)$'
  if not path or not overrides.split_path(path) then return nil end
  return op, path, text
end

-- An axis of one path, or nil for a plain override.
local function of_path(word)
  local op, path, text = split_word(word)
  if not path then return nil end
  local name, inside = text:match '^(%l+)%((.*)%)$'
  local axis
  if name and FUNCTIONS[name] then
    axis = FUNCTIONS[name](inside, word)
  else
    local values = split_values(text, word)
    if #values < 2 then return nil end
    axis = { values = values }
  end
  axis.op, axis.path, axis.text = op, path, word
  return axis
end

local function of_zip(word)
  local zip = { zip = {}, text = word }
  for part in (word:match '^zip%((.*)%)$' .. ';'):gmatch '%s*([^;]*);' do
    local axis = of_path(part)
    if not axis or not axis.values then
      fail.config("axis '%s': zip takes lists such as zip(a=1,2;b=3,4), got '%s'", word, part)
    end
    local first = zip.zip[1]
    if first and #first.values ~= #axis.values then
      fail.config("axis '%s': %s has %d values and %s has %d; a zip takes lists of one length", word, first.path,
        #first.values, axis.path, #axis.values)
    end
    zip.zip[#zip.zip + 1] = axis
  end
  return zip
end

---Reads the words of a sweep: its axes, what is set for every cell, and how many seeds each cell has.
---@param words string[]
---@return { axes: table[], overrides: string[], seeds: integer? }
function axes.parse(words)
  local parsed, known, set = { axes = {}, overrides = {} }, {}, {}
  local function note_axis(path, text)
    if known[path] then fail.config("'%s' is varied twice: by '%s' and by '%s'", path, known[path], text) end
    known[path] = text
  end
  local function add(axis)
    for _, one in ipairs(axis.zip or { axis }) do note_axis(one.path, axis.text) end
    parsed.axes[#parsed.axes + 1] = axis
  end
  for _, word in ipairs(words) do
    local seeds = word:match '^seeds=(.*)$'
    if seeds then
      local count = tonumber(seeds)
      if not count or count < 1 or count ~= math.floor(count) then
        fail.config("seeds must be a whole number from 1, got '%s'", seeds)
      end
      note_axis('train.seed', word)
      parsed.seeds = count
    elseif word:find '^zip%(.*%)$' then
      add(of_zip(word))
    else
      local axis = of_path(word)
      if axis then
        add(axis)
      else
        local _, path = split_word(word)
        if path then set[path] = word end
        parsed.overrides[#parsed.overrides + 1] = word
      end
    end
  end
  for path, word in pairs(set) do
    if known[path] and not known[path]:find '^seeds=' then -- of the seeds it is the first
      fail.config("'%s' is set by '%s' and varied by '%s'", path, word, known[path])
    end
  end
  return parsed
end

return axes
