-- What `require` finds, in this order: package.preload, the embedded library, the native module, LUA_PATH, the script's
-- own folder, C modules of LUA_CPATH. All Lua is loaded as text.
local host = require 'host'
local chunks = require 'chunks'

local modules = { script_folder = nil }

---Library files that `name` may mean; a dot is a folder, so `models.char_rnn` is models/char_rnn.lua.
---@param name string
---@return string[]
function modules.candidates(name)
  local path = name:gsub('%.', '/')
  return { path .. '.lua', 'core/' .. path .. '.lua', path .. '/init.lua' }
end

local function find_embedded(name)
  for _, path in ipairs(modules.candidates(name)) do
    local text = host.embedded(path)
    if text then
      local chunk, message = chunks.compile(text, '=[lanthorn]/' .. path, path)
      if not chunk then error(message, 0) end
      return chunk
    end
  end
  return ("\n\tno library file '%s'"):format(modules.candidates(name)[1])
end

local function find_native(name)
  if name ~= 'lanthorn' then return nil end
  return require('native').find()
end

local function find_file(name, path)
  local found, tried = package.searchpath(name, path)
  if not found then return tried end
  local chunk, message = chunks.read(found)
  if not chunk then error(message, 0) end
  return chunk
end

local function find_on_path(name)
  return find_file(name, package.path)
end

local function beside_script()
  return ('%s/?.lua;%s/?/init.lua'):format(modules.script_folder, modules.script_folder)
end

local function find_beside_script(name)
  if not modules.script_folder then return nil end
  local chunk = find_file(name, beside_script())
  if type(chunk) == 'function' then modules.warn_of_hidden(chunks.files[#chunks.files].text) end
  return chunk
end

local function is_embedded(name)
  for _, path in ipairs(modules.candidates(name)) do
    if host.embedded(path) then return true end
  end
  return name == 'lanthorn'
end

-- Whether a file is a module, which gives something back: a script with the name of a module stands in nobody's way.
local function is_module(path)
  local file = io.open(path, 'rb')
  local text = file and file:read '*a' or ''
  if file then file:close() end
  return ('\n' .. text):find '\nreturn%f[%W]' ~= nil
end

local told = {}

---Warns of files beside the script that a user's text asks for by a name of the library, which comes first.
---@param text string
function modules.warn_of_hidden(text)
  if not modules.script_folder then return end
  for name in text:gmatch 'require%s*%(?%s*["\']([%w_.]+)["\']' do
    local path = is_embedded(name) and package.searchpath(name, beside_script())
    if path and not told[name] and is_module(path) then
      told[name] = true
      require('console').warn(("warning: require '%s' is the runner's module, not '%s'; to use that, give it another name")
        :format(name, path))
    end
  end
end

---Installs the searchers.
function modules.install()
  local preload, _, native, native_root = unpack(package.loaders)
  package.loaders = { preload, find_embedded, find_native, find_on_path, find_beside_script, native, native_root }
end

return modules
