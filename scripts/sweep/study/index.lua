-- index.sqlite of a sweep's folder: what was read from its many small files, so that they need not be read again. A row
-- counts as long as its file is what it was, by the stamp that is kept with it. Readers add what they had to read
-- themselves; without an index, as on a network file system or a read-only one, they read files.
local console = require 'console'
local database = require 'sweep.study.database'
local host = require 'host'

local index = {}

local FILE = 'index.sqlite'
local TABLES = { [[CREATE TABLE IF NOT EXISTS kept (kind text NOT NULL, id text NOT NULL,
  stamp double precision NOT NULL, body text NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID]] }

local opened = {} -- by folder; false where there is none

local function remove(path)
  for _, suffix in ipairs { '', '-wal', '-shm' } do os.remove(path .. suffix) end
end

local function open_file(path)
  local db, message = database.open('sqlite:' .. path)
  local ok
  if db then ok, message = database.make_tables(db, TABLES) end
  if ok then return db end
  return nil, message
end

local function open(folder)
  local path = ('%s/%s'):format(folder, FILE)
  local existed = host.stat(path) ~= nil
  local db, message = open_file(path)
  if not db and existed and (message:find 'not a database' or message:find 'malformed') then
    console.warn(('%s; it is made anew from the files'):format(message))
    remove(path)
    db = open_file(path)
  end
  return db or false
end

local function of(folder)
  if opened[folder] == nil then opened[folder] = open(folder) end
  return opened[folder]
end

---What is kept of a kind. No rows where there is no index.
---@param folder string of the sweep
---@param kind "cell"|"reports"|"trial"
---@return table<string, { stamp: number, body: string }> rows by id
function index.read(folder, kind)
  local db, found = of(folder), {}
  local rows = db and db:execute('SELECT id, stamp, body FROM kept WHERE kind = :p1', kind) or {}
  for _, row in ipairs(rows) do found[row[1]] = { stamp = row[2], body = row[3] } end
  return found
end

---Keeps rows. What cannot be kept now is read again.
---@param folder string of the sweep
---@param kind "cell"|"reports"|"trial"
---@param rows { id: string, stamp: number, body: string }[]
function index.keep(folder, kind, rows)
  local db = #rows > 0 and of(folder)
  if not db or not db:execute 'BEGIN IMMEDIATE' then return end
  for _, row in ipairs(rows) do
    db:execute('INSERT OR REPLACE INTO kept (kind, id, stamp, body) VALUES (:p1, :p2, :p3, :p4)', kind, row.id,
      row.stamp, row.body)
  end
  db:execute 'COMMIT'
end

---Removes the index, so that readers make it anew.
---@param folder string of the sweep
function index.drop(folder)
  local db = opened[folder]
  if db then db:close() end
  opened[folder] = nil
  remove(('%s/%s'):format(folder, FILE))
end

return index
