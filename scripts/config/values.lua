-- The values of a config.json by their path, as `origin` has them: optim.lr, train.seed. Lists are leaves.
local config_values = {}

---@param values any
---@return table<string, any>
function config_values.flatten(values)
  local found = {}
  local function visit(value, path)
    if type(value) ~= 'table' or #value > 0 or (next(value) == nil and path) then
      found[path] = value
      return
    end
    for key, inner in pairs(value) do visit(inner, path and path .. '.' .. key or key) end
  end
  visit(values or {}, nil)
  return found
end

return config_values
