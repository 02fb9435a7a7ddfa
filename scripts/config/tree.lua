-- The config of an experiment as three trees that change together: plain values, their schema (schema.lua) and the
-- origin of each value.
local config_schema = require 'config.schema'
local fail = require 'fail'
local nearest = require 'nearest'
local overrides = require 'config.overrides'
local pretty = require 'pretty'

local config_tree = {}
config_tree.__index = config_tree

local convert, infer = config_schema.convert, config_schema.infer
local join, type_error = config_schema.join, config_schema.type_error

local function each_leaf(node, value, path, visit)
  if node.type == 'table' and type(value) == 'table' then
    for key, child in pairs(node.fields or {}) do each_leaf(child, value[key], join(path, key), visit) end
  else
    visit(path, node, value)
  end
end

---A tree from the defaults of a script.
---@param defaults table
---@param source string origin of the values, such as "script"
function config_tree.new(defaults, source)
  if type(defaults) ~= 'table' then fail.config('a config is a table of defaults, got %s', type(defaults)) end
  local schema, values = infer(defaults, '')
  if schema.type == 'any' then schema = { type = 'table', fields = {} } end
  local tree = setmetatable({ schema = schema, values = values, origin = {} }, config_tree)
  each_leaf(schema, values, '', function(path, node, value)
    node.shown = pretty.inline(value)
    tree.origin[path] = source
  end)
  return tree
end

---Leaf paths with node and value, sorted. Lists are leaves.
---@return { path: string, node: table, value: any }[]
function config_tree:leaves()
  local found = {}
  each_leaf(self.schema, self.values, '', function(path, node, value)
    found[#found + 1] = { path = path, node = node, value = value }
  end)
  table.sort(found, function(a, b) return a.path < b.path end)
  return found
end

local function unknown_key(tree, path)
  local names, described = {}, {}
  for _, leaf in ipairs(tree:leaves()) do
    names[#names + 1] = leaf.path
    described[leaf.path] = ('%s (%s, %s)'):format(leaf.path, leaf.node.type, pretty.inline(leaf.value))
  end
  fail.config("unknown key '%s'%s", path, nearest.hint(path, names, function(name) return described[name] end))
end

-- Walks to the holder of the last key: its schema node and value table, or nil when some key on the way is missing.
local function find_holder(tree, keys)
  local node, value = tree.schema, tree.values
  for i = 1, #keys - 1 do
    local key = keys[i]
    node = type(key) == 'number' and node.item or (node.fields or {})[key]
    value = value[key]
    if node == nil or type(value) ~= 'table' then return nil end
  end
  return node, value
end

-- Origins are kept per leaf, and a list is one leaf.
function config_tree:note_origin(keys, source)
  local path = ''
  for _, key in ipairs(keys) do
    if type(key) == 'number' then break end
    path = join(path, key)
  end
  self.origin[path] = source
end

local function add(tree, change, source)
  local node, value = tree.schema, tree.values
  for i = 1, #change.keys - 1 do
    local key = change.keys[i]
    if value[key] == nil and node.type == 'table' then
      node.fields[key], value[key] = { type = 'table', fields = {} }, {}
    end
    node = type(key) == 'number' and node.item or (node.fields or {})[key]
    value = value[key]
    if node == nil or type(value) ~= 'table' then unknown_key(tree, change.path) end
  end
  local key = change.keys[#change.keys]
  if type(key) == 'number' and key ~= #value + 1 then
    fail.config("cannot add '%s': the next item is number %d", change.path, #value + 1)
  end
  local converted = convert(type(key) == 'number' and node.item or { type = 'any' }, change.node, change.path)
  value[key] = converted
  if type(key) == 'string' and converted ~= nil then
    if node.type == 'any' then node.type, node.fields = 'table', {} end
    node.fields = node.fields or {}
    node.fields[key] = infer(converted, change.path)
  end
  tree:note_origin(change.keys, source)
end

local function set(tree, keys, path, given, source)
  local holder, value = find_holder(tree, keys)
  local key = keys[#keys]
  if not holder then unknown_key(tree, path) end
  local in_list = type(key) == 'number'
  local node = in_list and value[key] ~= nil and holder.item or not in_list and (holder.fields or {})[key]
  if not node then unknown_key(tree, path) end
  if given.kind == 'table' and node.type == 'table' then -- sets the named fields and leaves the others
    for _, name in ipairs(given.names) do
      local deeper = { unpack(keys) }
      deeper[#deeper + 1] = name
      set(tree, deeper, join(path, name), given.fields[name], source)
    end
    return
  end
  if node.type == 'table' then type_error(path, { type = 'table', fields = node.fields }, given.text or 'a list') end
  value[key] = convert(node, given, path)
  tree:note_origin(keys, source)
end

local function remove(tree, change)
  local holder, value = find_holder(tree, change.keys)
  local key = change.keys[#change.keys]
  if not holder or (value[key] == nil and not (holder.fields or {})[key]) then unknown_key(tree, change.path) end
  if type(key) == 'number' then return table.remove(value, key) end
  value[key] = nil
  if holder.fields then holder.fields[key] = nil end
  for path in pairs(tree.origin) do
    if path == change.path or path:sub(1, #change.path + 1) == change.path .. '.' then tree.origin[path] = nil end
  end
  return nil
end

local function exists(tree, keys)
  local holder, value = find_holder(tree, keys)
  if not holder then return false end
  local key = keys[#keys]
  return value[key] ~= nil or (holder.fields or {})[key] ~= nil
end

---Applies a parsed override (overrides.parse).
---@param change table
---@param source string "cli" or "cell"
function config_tree:apply(change, source)
  if change.op == '~' then return remove(self, change) end
  local known = exists(self, change.keys)
  if change.path == 'seeds' and not known then overrides.refuse_axis(change.text) end
  if change.op == '+' and known then
    fail.config("key '%s' exists; set it with %s", change.path, (change.text:gsub('^%+', '')))
  end
  if change.op == '=' or known then return set(self, change.keys, change.path, change.node, source) end
  return add(self, change, source)
end

return config_tree
