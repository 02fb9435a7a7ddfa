-- The connection of this process to the database that RUNNER_STUDY_URL names, with the tables of a study.
local database = require 'sweep.study.database'
local fail = require 'fail'
local host = require 'host'

local connection = {}

local CONFIG, MACHINE = 3, 9
local VARIABLE = 'RUNNER_STUDY_URL'

connection.VARIABLE = VARIABLE
connection.RETRY_S = 5     -- between two tries while the database does not answer
connection.GIVE_UP_S = 600 -- after which those that can do nothing else end
connection.GO_ON = '%s; nothing is lost, run the same command again to continue'

-- Made in this order: where the last one is, they all are.
local TABLES = {
  [[CREATE TABLE IF NOT EXISTS lanthorn_sweep (sweep text PRIMARY KEY, format bigint NOT NULL,
    fingerprint text NOT NULL, source_hash text NOT NULL, stopped double precision NOT NULL)]],
  [[CREATE TABLE IF NOT EXISTS lanthorn_cell (sweep text, cell text, attempt bigint NOT NULL, state text NOT NULL,
    owner text NOT NULL, expires double precision NOT NULL, exit text, changed double precision NOT NULL,
    PRIMARY KEY (sweep, cell))]],
  'CREATE INDEX IF NOT EXISTS lanthorn_cell_changed ON lanthorn_cell (sweep, changed)',
  [[CREATE TABLE IF NOT EXISTS lanthorn_trial (sweep text, k bigint, body text NOT NULL, PRIMARY KEY (sweep, k))]],
  [[CREATE TABLE IF NOT EXISTS lanthorn_report (sweep text, cell text, epoch bigint, loss double precision NOT NULL,
    PRIMARY KEY (sweep, cell, epoch))]],
}

local HAS_TABLES = "SELECT CAST(to_regclass('lanthorn_report') AS text)"

local connected

local function url()
  local text = host.getenv(VARIABLE)
  return text ~= '' and text or nil
end

---Calls f until it gives something, or fails for another reason than silence, or ten minutes are over.
---@param f fun(): any, string?, boolean? as execute of a database
---@return any
function connection.patiently(f)
  local since = host.now()
  while true do
    local result, message, is_unavailable = f()
    if result then return result end
    if not is_unavailable or host.now() - since > connection.GIVE_UP_S then
      fail.raise(MACHINE, connection.GO_ON, message)
    end
    host.sleep(connection.RETRY_S)
  end
end

-- Whoever may use the tables need not be allowed to make them.
local function open_database(where)
  local db, message, is_unavailable = database.open(where)
  local found
  if db then found, message, is_unavailable = db:execute(HAS_TABLES) end
  if not found then return nil, message, is_unavailable end
  if found[1][1] then return db end
  local made
  made, message, is_unavailable = database.make_tables(db, TABLES)
  if not made then return nil, message, is_unavailable end
  return db
end

---The database; nil where none is named. Raises exit 3 for what is not its URL, exit 9 when it does not answer.
---@param is_patient boolean? tries for ten minutes
---@return table? db
function connection.open(is_patient)
  local where = url()
  if not where or connected then return connected end
  if not where:find '^postgres' then
    fail.raise(CONFIG, '%s: expected postgresql://USER@HOST:PORT/NAME', VARIABLE)
  end
  local function open() return open_database(where) end
  if is_patient then
    connected = connection.patiently(open)
    return connected
  end
  local db, message = open()
  if not db then fail.raise(MACHINE, '%s: %s', VARIABLE, message) end
  connected = db
  return db
end

return connection
