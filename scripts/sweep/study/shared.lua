-- The study that several machines share, named by RUNNER_STUDY_URL: who works on which cell of a sweep, and what came
-- of it. Machines that share it need no common file system. Each has the whole plan, which the same command makes
-- everywhere, and the files of the cells that it ran.
local connection = require 'sweep.study.connection'
local dkjson = require 'dkjson'
local fail = require 'fail'
local files = require 'files'
local host = require 'host'
local json = require 'json'
local read_file = require 'base.read_file'

local shared = {}

local CONFIG, MACHINE = 3, 9
local FORMAT = 1
local VARIABLE = connection.VARIABLE
local LOST_S, RENEW_S = 120, 30 -- as the leases of claims
local OVERLAP_S = 10            -- a change may be seen later than one that was made after it
local NOW = 'CAST(extract(epoch FROM clock_timestamp()) AS double precision)'

local Study = {}
Study.__index = Study

local joined -- of this process

local function marker(folder) return folder .. '/study' end

---Runs a statement; $NOW is the time of the database, :p1 the sweep, further parameters follow.
---@return table[]? rows, string? message, boolean? is_unavailable
function Study:execute(sql, ...)
  return self.db:execute(sql:gsub('%$NOW', NOW), self.sweep, ...)
end

-- As execute, for what cannot go on without an answer.
function Study:must(sql, ...)
  local values = { ... }
  return connection.patiently(function() return self:execute(sql, unpack(values)) end)
end

-- Finds the sweep in the study, or puts it there.
function Study:register(head, allows_changes)
  local fingerprint = host.sha256(('%s %s %s'):format(head.fingerprint, head.metric or '', tostring(head.maximize)))
  self:must([[INSERT INTO lanthorn_sweep (sweep, format, fingerprint, source_hash, stopped)
    VALUES (:p1, :p2, :p3, :p4, 0) ON CONFLICT DO NOTHING]], FORMAT, fingerprint, head.source_hash)
  local row = self:must('SELECT format, fingerprint, source_hash FROM lanthorn_sweep WHERE sweep = :p1')[1] or {}
  if row[1] and row[1] > FORMAT then
    fail.raise(MACHINE, 'the study has format %d, newer than %d, the newest this runner knows', row[1], FORMAT)
  end
  if row[2] ~= fingerprint then
    fail.raise(CONFIG, "the study already holds a different sweep '%s'; give this one another --name", self.sweep)
  end
  if row[3] ~= head.source_hash and not allows_changes then
    fail.raise(CONFIG, "the script or one of its modules is not what '%s' was begun with on another machine; use the "
      .. 'same sources everywhere, another --name, or --allow-source-change', self.sweep)
  end
end

-- A folder says which study it is shared through, so that nobody goes on without it, or with another one.
local function check_marker(folder, db)
  local before = (read_file(marker(folder)) or ''):match '%C+'
  if not before or db and db:url() == before then return end
  if db then
    fail.raise(CONFIG, "the sweep is shared through %s, but %s names %s; name the former, or remove '%s' to go on with "
      .. 'the latter', before, VARIABLE, db:url(), marker(folder))
  end
  fail.raise(CONFIG, "the sweep is shared through %s, but %s is not set; set it, or remove '%s' to go on alone", before,
    VARIABLE, marker(folder))
end

---Raises (exit 9) when a study is named and does not answer.
function shared.check()
  connection.open()
end

---Joins the study of RUNNER_STUDY_URL; nil when there is none. Raises (exit 9) when it does not answer, and (exit 3)
---when it has another sweep of this name.
---@param folder string of the sweep
---@param head table? of the plan; nil for a process that only works on a cell of it
---@param o? { moves: boolean?, allows_changes: boolean? } moves: the folder may have been shared through another study;
---allows_changes: the sources may differ from those of other machines
---@return table? study
function shared.join(folder, head, o)
  o = o or {}
  if joined then return joined end
  local db = connection.open(head == nil)
  if not (o.moves and db) then check_marker(folder, db) end
  if not db then return nil end
  local experiment, name = (host.realpath(folder) or folder):match '([^/]*)/([^/]*)$'
  local study = setmetatable({ db = db, sweep = experiment .. '/' .. name, folder = host.realpath(folder),
    owner = host.this_process(), rows = {}, since = 0, stopped = 0 }, Study)
  if head then study:register(head, o.allows_changes) end
  study.own = dkjson.decode(study.owner)
  study.began = study:must('SELECT $NOW WHERE :p1 = :p1')[1][1]
  local line = db:url() .. '\n'
  if head and read_file(marker(folder)) ~= line then files.write(marker(folder), line) end
  joined = study
  return study
end

---The study that this process joined for a folder.
---@param folder string
---@return table?
function shared.of(folder)
  return joined and joined.folder == host.realpath(folder) and joined or nil
end

---Whether a sweep was shared through a study by a process on this machine.
---@param folder string
---@return boolean
function shared.is_shared(folder)
  return host.stat(marker(folder)) ~= nil
end

---Gives the connection back until the next statement: a server has few, and a sweep may have many workers.
function Study:rest()
  self.db:disconnect()
end

---Reads what changed. On failure what was known stays.
---@param id string? of the only cell that matters
---@return boolean ok, string? message
function Study:pull(id)
  local rows, message = self:execute([[SELECT cell, attempt, state, owner, expires - $NOW, exit, changed
    FROM lanthorn_cell WHERE sweep = :p1 AND changed >= :p2 AND (:p3 = '' OR cell = :p3)]], self.since, id or '')
  local about
  if rows then about, message = self:execute 'SELECT stopped FROM lanthorn_sweep WHERE sweep = :p1' end
  if not about then return false, message end
  for _, row in ipairs(rows) do
    self.rows[row[1]] = { attempt = row[2], state = row[3], owner = row[4], by = dkjson.decode(row[4]) or {},
      left = row[5], exit = row[6] and dkjson.decode(row[6]), read = host.now() }
    if not id then self.since = math.max(self.since, row[7] - OVERLAP_S) end
  end
  self.stopped = about[1] and about[1][1] or 0
  return true
end

-- Whether a process is of this machine, since it was booted.
function Study:is_here(row)
  return row.by.host == self.own.host and row.by.boot_id == self.own.boot_id
end

-- Whether the process that works on a cell exists, as far as can be told from here.
function Study:lives(row)
  if self:is_here(row) then return host.is_alive(row.owner) end
  return row.left > host.now() - row.read or host.now() < (self.patient_until or 0)
end

-- The owner of a cell if it was a process of this machine that is gone, else this process.
function Study:gone(row)
  return row and self:is_here(row) and not host.is_alive(row.owner) and row.owner or self.owner
end

---The study answers again: those that could not renew their leases meanwhile do so first.
function Study:spare()
  self.patient_until = host.now() + RENEW_S + OVERLAP_S
end

---What the study knows of a cell.
---@param id string
---@return table? now as of cells.state
function Study:state(id)
  local row = self.rows[id]
  if not row then return nil end
  local state = row.state
  if state == 'running' and not self:lives(row) then state = 'lost' end
  return { id = id, state = state, attempt = row.attempt, pid = row.by.pid, host = row.by.host, exit = row.exit,
    elsewhere = true }
end

---Whether the study has this state of a cell, as it was written there.
---@param id string
---@param state string
---@return boolean
function Study:has(id, state)
  local row = self.rows[id]
  return row ~= nil and (row.state == state or row.state == 'done')
end

---Of what is known here and what the study knows, that which counts.
---@param id string
---@param own table of cells.state
---@return table now
function Study:merge(id, own)
  if own.state == 'done' or own.state == 'running' then return own end
  local other = self:state(id)
  if not other then return own end
  local counts = other.state == 'done' or other.state == 'running' or own.state == 'missing'
    or other.state == 'pruned' and own.state ~= 'pruned'
  return counts and other or own
end

---Takes a cell, unless somebody has it or it is over.
---@param id string
---@param promoted boolean a pruned cell goes on
---@return boolean taken
function Study:claim(id, promoted)
  local gone = self:gone(self.rows[id])
  local rows = self:must([[INSERT INTO lanthorn_cell (sweep, cell, attempt, state, owner, expires, exit, changed)
    VALUES (:p1, :p2, 1, 'running', :p3, $NOW + ]] .. LOST_S .. [[, NULL, $NOW)
    ON CONFLICT (sweep, cell) DO UPDATE SET attempt = lanthorn_cell.attempt + 1, state = 'running', owner = :p3,
      expires = $NOW + ]] .. LOST_S .. [[, exit = NULL, changed = $NOW
    WHERE lanthorn_cell.state NOT IN ('running', 'done', 'pruned')
      OR lanthorn_cell.state = 'running' AND (lanthorn_cell.expires < $NOW OR lanthorn_cell.owner IN (:p3, :p4))
      OR lanthorn_cell.state = 'pruned' AND CAST(:p5 AS bigint) = 1
    RETURNING attempt]], id, self.owner, gone, promoted and 1 or 0)
  if #rows == 0 then return false end
  -- It puts the row back into a study that was lost meanwhile.
  self.db:repeat_every(RENEW_S, (([[INSERT INTO lanthorn_cell (sweep, cell, attempt, state, owner, expires, changed)
    VALUES (:p1, :p2, 1, 'running', :p3, $NOW + ]] .. LOST_S .. [[, $NOW)
    ON CONFLICT (sweep, cell) DO UPDATE SET expires = $NOW + ]] .. LOST_S .. [[, changed = $NOW
    WHERE lanthorn_cell.owner = :p3 AND lanthorn_cell.state = 'running']]):gsub('%$NOW', NOW)), self.sweep, id,
    self.owner)
  return true
end

---Puts what became of a cell here into the study. A cell that is done stays so, and nobody who works is overruled.
---@param id string
---@param now table of cells.state
---@return boolean ok, string? message
function Study:record(id, now)
  local gone = self:gone(self.rows[id])
  local by = json.encode { host = now.host or host.hostname(), pid = now.pid }
  local done, message = self:execute([[INSERT INTO lanthorn_cell
      (sweep, cell, attempt, state, owner, expires, exit, changed) VALUES (:p1, :p2, :p3, :p4, :p5, 0, :p6, $NOW)
    ON CONFLICT (sweep, cell) DO UPDATE SET state = :p4, owner = :p5, expires = 0, exit = :p6,
      changed = $NOW
    WHERE lanthorn_cell.state <> 'done' AND (lanthorn_cell.state <> 'pruned' OR :p4 IN ('done', 'pruned'))
      AND (lanthorn_cell.state <> 'running' OR :p4 = 'done' OR lanthorn_cell.owner IN (:p7, :p8))]],
    id, math.max(1, now.attempt), now.state, by, now.exit and json.encode(now.exit) or nil, gone, self.owner)
  if not done then return false, message end
  return true
end

---Ends the work of this process on a cell.
---@param id string
---@param now table of cells.state
---@return boolean ok, string? message
function Study:finish(id, now)
  self.db:stop_repeating()
  return self:record(id, now)
end

---Asks the pools of all machines to stop.
---@return boolean ok, string? message
function Study:stop()
  local done, message = self:execute 'UPDATE lanthorn_sweep SET stopped = $NOW WHERE sweep = :p1'
  return done ~= nil, message
end

---Whether somebody asked to stop since this process joined.
---@return boolean
function Study:is_stopped()
  return self.stopped > self.began
end

---Forgets the sweep.
function Study:remove()
  for _, name in ipairs { 'cell', 'trial', 'report', 'sweep' } do
    self:must(('DELETE FROM lanthorn_%s WHERE sweep = :p1'):format(name))
  end
end

---Makes a trial the k-th, unless there is one.
---@param k integer
---@param body string
---@return boolean ok, string? message
function Study:add_trial(k, body)
  local done, message = self:execute([[INSERT INTO lanthorn_trial (sweep, k, body) VALUES (:p1, :p2, :p3)
    ON CONFLICT DO NOTHING]], k, body)
  return done ~= nil, message
end

---The trials from the k-th on.
---@param k integer
---@return { [1]: integer, [2]: string }[]? rows, string? message
function Study:trials(k)
  return self:execute('SELECT k, body FROM lanthorn_trial WHERE sweep = :p1 AND k >= :p2 ORDER BY k', k)
end

---Notes the loss of a cell at an epoch.
---@return boolean ok, string? message
function Study:report(id, epoch, loss)
  local done, message = self:execute([[INSERT INTO lanthorn_report (sweep, cell, epoch, loss)
    VALUES (:p1, :p2, :p3, :p4) ON CONFLICT (sweep, cell, epoch) DO UPDATE SET loss = :p4]], id, epoch, loss)
  return done ~= nil, message
end

---The losses of all cells; nil when the study does not answer.
---@return table<string, table<integer, number>>?
function Study:reports()
  local rows = self:execute 'SELECT cell, epoch, loss FROM lanthorn_report WHERE sweep = :p1'
  if not rows then return nil end
  local found = {}
  for _, row in ipairs(rows) do
    found[row[1]] = found[row[1]] or {}
    found[row[1]][row[2]] = row[3]
  end
  return found
end

return shared
