-- Values of drawn axes. Trial k of an axis depends on the sweep's seed, the axis' path and k alone, so that more
-- trials leave those before them as they are.
local host = require 'host'

local draw = {}

local HEX_DIGITS = 13 -- 52 bits: what a double holds

---A number from 0 to below 1 that depends on the parts alone.
---@return number
function draw.unit(...)
  local parts = { ... }
  for i, part in ipairs(parts) do parts[i] = tostring(part) end
  return tonumber(host.sha256(table.concat(parts, '\0')):sub(1, HEX_DIGITS), 16) / 16 ^ HEX_DIGITS
end

---How drawn numbers are written: short enough for a table.
---@param value number
---@return string
function draw.number(value)
  return ('%.6g'):format(value)
end

---The value at a point of an axis, as the text of an override.
---@param axis { draw: string, lo: number?, hi: number?, choices: string[]? } of axes.parse
---@param u number from 0 to below 1
---@return string
function draw.value(axis, u)
  if axis.draw == 'choice' then return axis.choices[1 + math.floor(u * #axis.choices)] end
  if axis.draw == 'int' then return ('%d'):format(axis.lo + math.floor(u * (axis.hi - axis.lo + 1))) end
  local value = axis.draw == 'loguniform' and axis.lo * (axis.hi / axis.lo) ^ u or axis.lo + (axis.hi - axis.lo) * u
  return draw.number(value)
end

-- Makes point k (from 0) of all drawn axes.
local SAMPLERS = {}

function SAMPLERS.random(drawn, k, seed)
  local point = {}
  for i, axis in ipairs(drawn) do point[i] = draw.unit('trial', seed, axis.path, k) end
  return point
end

-- Each axis is shifted by an offset of its own, modulo 1: without it the first trial would be the corner of all lowest
-- values. Points keep their even spread.
function SAMPLERS.sobol(drawn, k, seed)
  local point = host.sobol(#drawn, k)
  for i, axis in ipairs(drawn) do point[i] = (point[i] + draw.unit('shift', seed, axis.path)) % 1 end
  return point
end

---The values of all drawn axes in trial k, from 0.
---@param sampler "random"|"sobol"
---@param drawn table[] axes of axes.parse
---@param k integer
---@param seed integer
---@return string[]
function draw.trial(sampler, drawn, k, seed)
  local point, values = SAMPLERS[sampler](drawn, k, seed), {}
  for i, axis in ipairs(drawn) do values[i] = draw.value(axis, point[i]) end
  return values
end

---Names of the samplers; tpe learns from results (trials.lua).
draw.samplers = { 'random', 'sobol', 'tpe' }

return draw
