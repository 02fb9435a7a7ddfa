-- The optimiser that the section `optim` asks for.
local fail = require 'fail'
local nearest = require 'nearest'
local optim = require 'optim'
local specs = require 'config.specs'

local optimizer = {}

-- Keys of the optim section that Lua acts on; the loop has its own, and the rest goes to the optimiser.
local LUA_KEYS = { name = true, groups = true, horizon = true }

local function own_options(o)
  local made = {}
  for key, value in pairs(o) do
    if not (LUA_KEYS[key] or specs.is_native('optim', key)) then made[key] = value end
  end
  return made
end

-- Parameters by the first group whose pattern their name matches; the rest makes the first group.
local function build_groups(model, groups)
  local rest, made = {}, {}
  for i, group in ipairs(groups) do
    if type(group) ~= 'table' or type(group.match) ~= 'string' then
      fail.config("optim.groups[%d] needs a Lua pattern in 'match'", i)
    end
    made[i] = { params = {} }
    for key, value in pairs(group) do
      if key ~= 'match' then made[i][key] = value end
    end
  end
  for _, parameter in ipairs(model:named_parameters()) do
    local place = rest
    for i, group in ipairs(groups) do
      if parameter.name:match(group.match) then
        place = made[i].params
        break
      end
    end
    place[#place + 1] = parameter
  end
  for i, group in ipairs(made) do
    if #group.params == 0 then fail.config("optim.groups[%d]: no parameter matches '%s'", i, groups[i].match) end
  end
  if #rest > 0 then table.insert(made, 1, { params = rest }) end
  return made
end

---The optimiser of a training.
---@param model Module
---@param o table the section `optim`
---@return Optimizer
function optimizer.build(model, o)
  local target, names = o.groups and build_groups(model, o.groups) or model, {}
  for i, kind in ipairs(optim.names()) do
    names[i] = kind:lower()
    if names[i] == o.name:lower() then return optim[kind](target, own_options(o)) end
  end
  table.sort(names)
  return fail.config("optim.name '%s' is not known%s; use one of %s", o.name, nearest.hint(o.name, names),
    table.concat(names, ', '))
end

return optimizer
