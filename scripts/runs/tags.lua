-- The numbers of a metrics line under the names that exports give them, which are those of the native TensorBoard
-- writer (engine/run/metrics/tensorboard_writer.h): train/loss, eval/val/loss, epoch/val_loss; nested ones by their
-- path alone, phase_ms/forward.
local tags = {}

local CURVES = { epoch = true, tscore_probe = true } -- events that are points of a curve
local NOT_VALUES = { t = true, step = true }

---What the tags of a line begin with; nil for a line without scalars.
---@param line table
---@return string?
function tags.prefix(line)
  if line.kind == 'event' then return CURVES[line.event] and line.event or nil end
  return line.kind and (line.split and ('%s/%s'):format(line.kind, line.split) or line.kind)
end

local function add(object, prefix, found)
  for name, value in pairs(object) do
    local tag = ('%s/%s'):format(prefix, name)
    if type(value) == 'number' then
      found[tag] = value
    elseif type(value) == 'table' and #value == 0 then
      add(value, tag, found)
    end
  end
end

---Tags and numbers of a line; empty for a line that is not a point of a curve.
---@param line table
---@return table<string, number>
function tags.scalars(line)
  local prefix, found = tags.prefix(line), {}
  if not prefix then return found end
  for name, value in pairs(line) do
    if type(value) == 'number' and not NOT_VALUES[name] then
      found[('%s/%s'):format(prefix, name)] = value
    elseif type(value) == 'table' and #value == 0 then
      add(value, name, found)
    end
  end
  return found
end

return tags
