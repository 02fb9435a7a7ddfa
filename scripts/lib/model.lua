-- Models written in Lua: native layers in a table, and a forward.
--
--   return model.define {
--     args = { vocab = 'int', embed = { 'int', 64 } },
--     build = function(a)
--       return { embed = nn.Embedding { a.vocab, a.embed }, head = nn.Linear { a.embed, a.vocab } }
--     end,
--     forward = function(m, ids) return m.head(m.embed(ids)) end,
--   }
--
-- The result is a function that takes options and gives a module. Parameter names are field paths (embed.weight).
-- Without a forward, `build` returns a finished module, such as an nn.Sequential.
local fail = require 'fail'
local options = require 'options'

local model = {}

local function assemble(name, layers, forward)
  local nn, torch = require 'nn', require 'torch'
  local names = {}
  local order = {}
  for field, member in pairs(layers) do
    order[field] = nn.created_order(member)
    if not order[field] then
      fail.config("%s: build gives '%s' as a %s; members are layers, nn.Parameter and nn.Buffer", name, tostring(field),
        torch.is_tensor(member) and 'plain tensor' or type(member))
    end
    names[#names + 1] = field
  end
  -- A table has no order; members keep the one they were made in, which is also the order of their initial values.
  table.sort(names, function(a, b) return order[a] < order[b] end)
  local module = nn.Container(name)
  for _, field in ipairs(names) do module[field] = layers[field] end
  module.forward = forward
  return module
end

---A constructor of models.
---@param definition { name: string?, args: table, build: function, forward: function? }
---@return fun(given: table): Module
function model.define(definition)
  local d = options.check('model.define', definition,
    { name = { 'string', 'Model' }, args = { 'table', {} }, build = 'function', forward = 'function?' })
  return function(given)
    local built = d.build(options.check(d.name, given or {}, d.args))
    if not d.forward then return built end
    if type(built) ~= 'table' then
      fail.config('%s: build must return a table of layers beside a forward, got a %s', d.name, type(built))
    end
    return assemble(d.name, built, d.forward)
  end
end

return model
