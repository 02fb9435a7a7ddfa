-- What `require` finds.
--
-- A script asks in this order: package.preload, the native module, its own folder, the library, LUA_PATH, C modules
-- of LUA_CPATH. So a `data.lua` beside a script is that script's. The library has a `require` of its own, which finds
-- the library first and keeps what it loaded apart: no file of a user's stands in for a part of the runner. All Lua
-- is loaded as text.
local host = require 'host'
local sources = require 'boot.sources'

local modules = { script_folder = nil }

-- What the library has loaded, by name.
local loaded = { host = host, ['boot.sources'] = sources, ['boot.modules'] = modules }
local global_require = _G.require

---Library files that `name` may mean, in order: a room and its file behind a dot, a public module, a packaged library.
---@param name string
---@return string[]
function modules.candidates(name)
  local path = name:gsub('%.', '/')
  return { 'lib/' .. path .. '.lua', path .. '.lua', path .. '/init.lua' }
end

---Names of the modules that scripts require, sorted.
---@return string[]
function modules.public()
  local names = {}
  for i, path in ipairs(host.embedded_list 'lib/') do names[i] = path:match '^lib/(.*)%.lua$' end
  return names
end

local function library_file(name)
  for _, path in ipairs(modules.candidates(name)) do
    local text = host.embedded(path)
    if text then return path, text end
  end
  return nil
end

---`require` as the library's files know it.
---@param name string
---@return any
function modules.require(name)
  local value = loaded[name]
  if value ~= nil then return value end
  local path, text = library_file(name)
  if not path then return global_require(name) end
  local chunk, message = sources.compile('local require = ...; ' .. text, '=[lanthorn]/' .. path, path)
  if not chunk then error(message, 0) end
  value = chunk(modules.require)
  loaded[name] = value == nil or value
  return loaded[name]
end

local function find_library(name)
  if loaded[name] ~= nil or library_file(name) then
    return function() return modules.require(name) end
  end
  local today = modules.require('boot.former_names')[name]
  if today then
    modules.require('console').note(("note: module '%s' is '%s' now"):format(name, today))
    return function() return modules.require(today) end
  end
  return ("\n\tno module '%s' of the runner%s"):format(name, modules.require('nearest').hint(name, modules.public()))
end

local function find_native(name)
  if name ~= 'lanthorn' then return nil end
  return modules.require('boot.native').find()
end

-- Whether a text is a module, which gives something back: a script called train.lua stands in nobody's way.
local function is_module(path)
  local text = modules.require 'base.read_file' (path) or ''
  return ('\n' .. text):find '\nreturn%f[%W]' ~= nil
end

local function find_on_path(name, path)
  local found, tried = package.searchpath(name, path)
  if not found then return tried end
  local chunk, message = sources.read(found)
  if not chunk then error(message, 0) end
  return chunk
end

local function find_on_lua_path(name)
  return find_on_path(name, package.path)
end

local function find_beside_script(name)
  if not modules.script_folder then return nil end
  local path = ('%s/?.lua;%s/?/init.lua'):format(modules.script_folder, modules.script_folder)
  local found = package.searchpath(name, path)
  if not found then return ("\n\tno file '%s' beside the script"):format(name) end
  if library_file(name) and not is_module(found) then return nil end
  if host.embedded('lib/' .. name .. '.lua') then
    modules.require('console').note(("note: require '%s' is %s, not the runner's module"):format(name, found))
  end
  return find_on_path(name, path)
end

---Installs the searchers. `host` is the library's, and a script finds it behind a file of its own of that name.
function modules.install()
  package.loaded.host = nil
  local preload, _, native, native_root = unpack(package.loaders)
  package.loaders = { preload, find_native, find_beside_script, find_library, find_on_lua_path, native, native_root }
end

return modules
