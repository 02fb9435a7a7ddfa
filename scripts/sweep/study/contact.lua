-- A launcher's contact with the study that machines share. While it does not answer, nothing is started that another
-- machine may have; what runs goes on, and ends in its files. What the study missed is told to it later.
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

function Contact:silent(message)
  if not self.since then self.view:study_silent(message) end
  self.since, self.message = self.since or host.now(), message
end

---Whether what is known of the study is fresh. Raises (exit 9) when it has been silent for ten minutes and nothing
---runs.
---@param runs boolean whether cells run here
---@return boolean
function Contact:answers(runs)
  local now = host.now()
  if now - self.tried < (self.since and shared.RETRY_S or FRESH_S) then return self.since == nil end
  self.tried = now
  local ok, message = self.study:pull()
  if not ok then
    self:silent(message)
    if not runs and now - self.since > shared.GIVE_UP_S then
      fail.raise(MACHINE, '%s; nothing is lost: the same command goes on', message)
    end
    return false
  end
  if self.since then
    self.view:study_answers()
    self.since = nil
  end
  return true
end

---Tells the study how a cell of this launcher ended, where its worker could not.
---@param cell table
---@param now table of cells.state
function Contact:ended(cell, now)
  if self.since and host.now() - self.tried < shared.RETRY_S then -- it is silent
    self.untold = true
    return
  end
  local ok, message = self.study:pull()
  local known = self.study:state(cell.id)
  local is_told = known and (known.state == now.state or known.state == 'running' and now.state == 'missing')
  if ok and now.state ~= 'running' and now.state ~= 'missing' and not is_told then
    ok, message = self.study:record(cell.id, now)
  end
  if ok then ok, message = self.study:pull() end
  if ok then return end
  self.untold, self.tried = true, host.now()
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
    console.warn(('the study does not have all that ended here: %s; runner sweep rebuild %s tells it'):format(message,
      self.folder))
  end
end

return contact
