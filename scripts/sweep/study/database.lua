-- Databases that know of sweeps: SQLite for one machine, PostgreSQL for several. Files are the truth; what is in here
-- can be made from them again. The module that reaches them is loaded by the first that needs it.
local host = require 'host'
local keep_loaded = require 'base.keep_loaded'

local database = {}

local MODULE = 'lanthorn_study'

local native

local function load_native()
  if native then return native end
  local path = ('%s/%s.so'):format(host.folder, MODULE)
  if not host.stat(path) then path = package.searchpath(MODULE, package.cpath) or path end
  local open, message = package.loadlib(path, 'luaopen_' .. MODULE)
  if not open then return nil, ("native module '%s': %s"):format(path, message) end
  native = open(MODULE)
  keep_loaded(path) -- and the libraries of PostgreSQL's client
  return native
end

---Opens a database.
---@param url string "sqlite:PATH" or "postgresql://..."
---@return table? db with execute(sql, ...): rows, or nil, message, whether trying again may help
---@return string? message, boolean? is_unavailable
function database.open(url)
  local module, problem = load_native()
  if not module then return nil, problem, false end
  return module.open(url)
end

---Makes the tables that are missing.
---@param db table
---@param tables string[] statements
---@return boolean ok, string? message, boolean? is_unavailable
function database.make_tables(db, tables)
  for _, sql in ipairs(tables) do
    local made, message, is_unavailable = db:execute(sql)
    -- Of two that make a table at the same moment one may fail; then it is there.
    if not made and not is_unavailable then made, message, is_unavailable = db:execute(sql) end
    if not made then return false, message, is_unavailable end
  end
  return true
end

return database
