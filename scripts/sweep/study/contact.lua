-- A launcher's contact with the study that machines share. While it does not answer, nothing is started that another
-- machine may have; what runs goes on, and ends in its files. What the study missed is told to it later.
local connection = require 'sweep.study.connection'
local console = require 'console'
local fail = require 'fail'
local host = require 'host'
local push = require 'sweep.study.push'
local shared = require 'sweep.study.shared'

local contact = {}

local MACHINE = 9
local FRESH_S = 1 -- what was read so lately need not be read again

local Contact = {}
Contact.__index = Contact

---Nil when no study is shared.
---@param folder string of the sweep
---@param view table of sweep.progress
function contact.new(folder, view)
  local study = shared.of(folder)
  return study and setmetatable({ study = study, folder = folder, view = view, tried = -math.huge }, Contact) or nil
end

---Notes that the study does not answer.
function Contact:silent(message)
  if not self.since then self.view:study_silent(message) end
  self.since, self.message, self.tried = self.since or host.now(), message, host.now()
end

---Whether the study did not answer when it was asked last.
---@return boolean
function Contact:is_silent()
  return self.since ~= nil
end

-- Raises when nothing has run for ten minutes because the study is silent.
local function give_up(self, runs)
  self.idle_since = not runs and (self.idle_since or host.now()) or nil
  if self.idle_since and host.now() - self.idle_since > connection.GIVE_UP_S then
    fail.raise(MACHINE, connection.GO_ON, self.message)
  end
end

---Whether what is known of the study is fresh. Raises (exit 9) when it is silent and nothing has run for ten minutes.
---@param runs boolean whether cells run here
---@return boolean
function Contact:answers(runs)
  if host.now() - self.tried < (self.since and connection.RETRY_S or FRESH_S) then return self.since == nil end
  self.tried = host.now()
  local ok, message = self.study:pull()
  if not ok then
    self:silent(message)
    give_up(self, runs)
    return false
  end
  if self.since then
    self.view:study_answers()
    self.study:spare()
    self.since, self.idle_since = nil, nil
  end
  return true
end

---Tells the study how a cell of this launcher ended, where its worker could not.
---@param cell table
---@param now table of cells.state
function Contact:ended(cell, now)
  self.untold = self.untold or self.since ~= nil
  if self.since and host.now() - self.tried < connection.RETRY_S then return end
  local ok, message = self.study:pull()
  if ok and now.state ~= 'running' and now.state ~= 'missing' and not self.study:has(cell.id, now.state) then
    ok, message = self.study:record(cell.id, now)
  end
  if ok then ok, message = self.study:pull() end
  if ok then return end
  self.untold = true
  self:silent(message)
end

---Whether somebody on another machine asked all to stop.
---@return boolean
function Contact:asks_to_stop()
  return self.study:is_stopped()
end

---Tells the study what it missed.
function Contact:finish()
  if not self.untold then return end
  local _, message = push(self.study, self.folder)
  if message then
    console.warn(('the study is missing some of the cells that ended here: %s; runner sweep rebuild %s tells it')
      :format(message, self.folder))
  end
end

return contact
