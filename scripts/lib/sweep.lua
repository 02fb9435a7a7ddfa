-- Sweeps as Lua programs: what a sweep script returns.
--
--   local sweep = require 'sweep'
--   return sweep { script = 'xor.lua', params = { ['optim.lr'] = { 0.1, 0.03, 0.01 }, ['model.hidden'] = { 4, 8 } },
--     seeds = 3, where = function(c) return c.optim.lr * c.model.hidden < 0.5 end }
--
-- `runner sweep FILE` runs it, and so does `runner FILE`; the command line may set or vary further keys.
local fail = require 'fail'
local nearest = require 'nearest'
local options = require 'options'
local pretty = require 'pretty'

local sweep = {}

local SPEC = { script = 'string', params = { 'table', {} }, seeds = { 'int', 0, min = 0 }, trials = 'int?',
  sampler = 'string?', sampler_seed = 'int?', where = 'function?', metric = 'string?', maximize = 'boolean?',
  name = 'string?', pruner = 'string?' }

-- What the functions below give: the text behind `path=`.
local Values = {}
Values.__index = Values

local function text_of(value)
  if type(value) == 'number' then return pretty.number(value) end
  if type(value) == 'boolean' then return tostring(value) end
  if type(value) == 'string' then
    local quote = value:find("'", 1, true) and '"' or "'"
    return (value == '' or value:find '[^%w_./+-]') and quote .. value .. quote or value
  end
  if type(value) ~= 'table' then fail.config('sweep: a value cannot be a %s', type(value)) end
  local parts = {}
  if #value > 0 or next(value) == nil then
    for i, item in ipairs(value) do parts[i] = text_of(item) end
    return '[' .. table.concat(parts, ',') .. ']'
  end
  for i, key in ipairs(pretty.sorted_keys(value)) do parts[i] = ('%s=%s'):format(key, text_of(value[key])) end
  return '{' .. table.concat(parts, ',') .. '}'
end

-- Makes sweep.NAME(...): the axis function of that name, as the command line has it.
local function axis_function(name)
  return function(...)
    local parts = { ... }
    for i, part in ipairs(parts) do parts[i] = text_of(part) end
    return setmetatable({ text = ('%s(%s)'):format(name, table.concat(parts, ',')) }, Values)
  end
end

---lo, lo + step ... below hi; the step is 1 if left out.
---@type fun(lo: number, hi: number, step: number?): table
sweep.range = axis_function 'range'
---n numbers from lo to hi.
---@type fun(lo: number, hi: number, n: integer): table
sweep.linspace = axis_function 'linspace'
---n numbers from lo to hi with equal ratios.
---@type fun(lo: number, hi: number, n: integer): table
sweep.logspace = axis_function 'logspace'
---Drawn anew for each trial, from lo to below hi.
---@type fun(lo: number, hi: number): table
sweep.uniform = axis_function 'uniform'
---The same, with the logarithm spread evenly.
---@type fun(lo: number, hi: number): table
sweep.loguniform = axis_function 'loguniform'
---A whole number from lo to hi, drawn anew for each trial.
---@type fun(lo: integer, hi: integer): table
sweep.int = axis_function 'int'
---One of the values, drawn anew for each trial.
---@type fun(...: any): table
sweep.choice = axis_function 'choice'

-- path = value, as words of the command line.
local function word_of(path, value)
  if getmetatable(value) == Values then return ('%s=%s'):format(path, value.text) end
  if type(value) ~= 'table' then return ('%s=%s'):format(path, text_of(value)) end
  if #value == 0 then fail.config("sweep: params['%s'] is empty; it takes a list of values", path) end
  local parts = {}
  for i, item in ipairs(value) do parts[i] = text_of(item) end
  return ('%s=%s'):format(path, table.concat(parts, ','))
end

---Lists of one length that go along together, as an entry of params: sweep.zip { ['domains.seq'] = { 16, 32 },
---['domains.batch'] = { 64, 32 } }.
---@param lists table<string, any[]>
---@return string
function sweep.zip(lists)
  local parts = {}
  for i, path in ipairs(pretty.sorted_keys(lists)) do parts[i] = word_of(path, lists[path]) end
  return ('zip(%s)'):format(table.concat(parts, ';'))
end

-- Entries of params: words of the command line in their order, then `path = values` by path.
local function words_of(params)
  local words = {}
  for i, word in ipairs(params) do
    if type(word) ~= 'string' then
      fail.config("sweep: params[%d] must be a text such as 'optim.lr=0.1,0.01', got a %s", i, type(word))
    end
    words[i] = word
  end
  for _, key in ipairs(pretty.sorted_keys(params)) do
    if type(key) == 'string' then words[#words + 1] = word_of(key, params[key]) end
  end
  return words
end

local Sweep = {}
Sweep.__index = Sweep

---Whether a value is what a sweep script returns.
---@param value any
---@return boolean
function sweep.is(value)
  return getmetatable(value) == Sweep
end

local function new(_, given)
  local o = options.check('sweep', given, SPEC)
  o.words = words_of(o.params)
  if o.seeds > 0 then o.words[#o.words + 1] = ('seeds=%d'):format(o.seeds) end
  o.params, o.seeds = nil, nil
  return setmetatable(o, Sweep)
end

return setmetatable(sweep, { __call = new, __index = function(_, name) nearest.missing('sweep', sweep, name) end })
