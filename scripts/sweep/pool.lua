-- Runs the cells of a sweep on this machine, several at once, each in a process of its own. A cell that ends badly
-- ends alone; what a cell does to its process (memory, threads, a crash) reaches no other. Other pools, in another
-- terminal or on another machine, may work on the same sweep: cells are taken by claims.
local cells = require 'sweep.cells'
local contact = require 'sweep.study.contact'
local dkjson = require 'dkjson'
local fail = require 'fail'
local host = require 'host'
local read_file = require 'base.read_file'
local stopping = require 'sweep.stopping'
local trials = require 'sweep.planning.trials'
local work = require 'sweep.work'

local pool = {}

local LOOK_S = 0.25          -- between two looks at the running cells
local ELSEWHERE_S = 1        -- between two looks at cells that others work on
local MACHINE = 9
local LAST_LINES = 5
local SIGINT = 2

local Pool = {}
Pool.__index = Pool

local function last_lines(path)
  local lines = {}
  for line in (read_file(path) or ''):gmatch '[^\n]+' do
    lines[#lines + 1] = line
    if #lines > LAST_LINES then table.remove(lines, 1) end
  end
  return lines
end

function Pool:note(event, cell, fields)
  local line = { t = host.unix_time(), event = event, cell = cell.id }
  for key, value in pairs(fields or {}) do line[key] = value end
  local path = ('%s/journal.%s.%d.jsonl'):format(self.folder, host.hostname(), host.pid())
  local file = io.open(path, 'ab') -- history for people; a full disk loses no cell
  if not file then return end
  file:write(dkjson.encode(line), '\n')
  file:close()
end

function Pool:start(cell, promoted)
  local folder, words = work.make_folder(self, cell, promoted), { host.folder .. '/runner' }
  for _, word in ipairs(work.words(self, folder)) do words[#words + 1] = word end
  local pid, message = host.spawn(words,
    { OMP_NUM_THREADS = tostring(self.threads), RUNNER_CELL = folder, RUNNER_JOB = '' }, folder .. '/output.log')
  if not pid then fail.raise(MACHINE, 'cell %s cannot start: %s', cell.id, message) end
  self.running[pid] = { cell = cell, pid = pid, began = host.now(), folder = folder }
  self:note('start', cell, { pid = pid })
  self.view:started(cell)
end

-- Adds the cells of the next trial to the queue, where a sampler decides about them; false when there is none.
function Pool:draw_more()
  local new = not self.stopping and work.next_trial(self) or {}
  for _, cell in ipairs(new) do self.queue[#self.queue + 1] = cell end
  return #new > 0
end

-- Starts a pruned cell that may go on by now; false when there is none.
function Pool:promote(is_last)
  local cell = work.promoted(self, is_last)
  if cell then self:start(cell, self.promotions[cell.id]) end
  return cell ~= nil
end

-- Takes the next cell that nobody has; false when there is none.
function Pool:start_next()
  if self:promote(false) then return true end
  while #self.queue > 0 or self:draw_more() do
    local cell = table.remove(self.queue, 1)
    local now = cells.now(self.folder, cell.id)
    if cells.is_over(now.state) then
      self:over(cell, now)
    elseif now.state == 'running' then
      self.elsewhere[cell.id] = cell
    else
      self:start(cell)
      return true
    end
  end
  return next(self.running) == nil and next(self.elsewhere) == nil and self:promote(true)
end

function Pool:over(cell, now, child)
  self.done[cell.id] = now
  self.failed[cell.id] = nil
  self.view:ended(cell, now, child)
end

function Pool:fails(cell, now, child)
  now.lines = child and last_lines(child.folder .. '/output.log') or {}
  self.failed[cell.id] = { cell = cell, now = now }
  self.view:ended(cell, now, child)
end

-- A child is gone. What became of its cell is in the cell's folder.
function Pool:ended(child, how)
  local cell = child.cell
  local now = cells.state(self.folder, cell.id)
  if now.pid == child.pid and now.state == 'lost' and not now.exit then
    local signal = how.signal
    now.exit = { format = 1, state = 'LOST', code = signal and 128 + signal or how.code, signal = signal,
      reason = signal and ('killed by signal %d'):format(signal)
        or ('its process ended with exit code %d and could not record it'):format(how.code),
      wall_s = host.now() - child.began, ended = host.unix_time() }
    host.close_claim(child.folder, now.attempt, dkjson.encode(now.exit) .. '\n')
  end
  self:note('end', cell, { pid = child.pid, state = now.state, code = how.code, signal = how.signal })
  if self.contact then
    self.contact:ended(cell, now)
    now = cells.now(self.folder, cell.id)
  end
  if cells.is_over(now.state) then return self:over(cell, now, child) end
  if now.state == 'running' then
    self.elsewhere[cell.id] = cell
    return self.view:elsewhere(cell, now)
  end
  if self.stopping then
    if now.state ~= 'failed' then now.state = 'stopped' end -- it may have been asked before it could listen
    return self.view:ended(cell, now, child)
  end
  if now.state == 'missing' and self.contact and self.contact:is_silent() then -- it waited for the study in vain
    table.insert(self.queue, 1, cell)
    return
  end
  if now.state == 'missing' or (now.exit and now.pid ~= child.pid) then -- it did not get as far as a claim
    now.state, now.exit = 'failed', { state = 'FAILED', code = how.code or 128 + how.signal,
      reason = 'its process could not begin' }
  end
  if now.exit and now.exit.state == 'PREEMPTED' then
    table.insert(self.queue, 1, cell)
    return self.view:again(cell, now)
  end
  local used = self.retried[cell.id] or 0
  if now.state == 'lost' and used < self.retries then
    self.retried[cell.id] = used + 1
    table.insert(self.queue, 1, cell)
    return self.view:again(cell, now)
  end
  self:fails(cell, now, child)
end

-- Cells that other processes work on: done there, or free again.
function Pool:look_elsewhere()
  for id, cell in pairs(self.elsewhere) do
    local now = cells.now(self.folder, id)
    if now.state ~= 'running' then
      self.elsewhere[id] = nil
      if cells.is_over(now.state) then
        self:over(cell, now)
      elseif now.state == 'failed' then
        self:fails(cell, now)
      else
        self.queue[#self.queue + 1] = cell
      end
    end
  end
end

local function send(children, signal)
  for pid in pairs(children) do host.kill(pid, signal) end
end

-- The first signal asks the cells to save and leave, the second ends them.
function Pool:take_signal(signal)
  if not self.stopping then
    self.stopping, self.queue = signal, {}
    self.view:stopping(signal, next(self.running) ~= nil)
    send(self.running, 'TERM') -- SIGINT is ignored while a script waits in os.execute
  else
    send(self.running, 'KILL')
  end
end

-- Whether anything is left that the study decides about.
function Pool:may_need_study()
  if self.queue[1] or next(self.elsewhere) or self.search and trials.may_come(self.search) then return true end
  if not self.pruner then return false end
  for _, now in pairs(self.done) do
    if now.state == 'pruned' and not now.elsewhere then return true end
  end
  return false
end

function Pool:is_over()
  if next(self.running) then return false end
  return self.stopping or self.idle and #self.queue == 0 and next(self.elsewhere) == nil
end

function Pool:step()
  local free = self.jobs
  for _ in pairs(self.running) do free = free - 1 end
  local ends = self.fail_fast and next(self.failed)
  if ends then self.queue, self.elsewhere, self.search, self.pruner = {}, {}, nil, nil end
  local answers = not self.contact or self.contact:answers(next(self.running) ~= nil)
  while answers and free > 0 and not self.stopping and self:start_next() do free = free - 1 end
  if self.contact and self.contact:is_silent() then answers = false end
  self.idle = free > 0 and (answers or not self:may_need_study()) -- there was nothing to start
  if self:is_over() then return end
  for _, how in ipairs(host.wait_children(LOOK_S)) do
    local child = self.running[how.pid]
    self.running[how.pid], self.idle = nil, false -- what it came to may let others begin
    if child then self:ended(child, how) end
  end
  local signal = host.stop_signal()
  local asked = stopping.is_asked(self.folder) or self.contact and self.contact:asks_to_stop()
  if not signal and not self.stopping and asked then signal = SIGINT end
  if signal then self:take_signal(signal) end
  if answers and next(self.elsewhere) and not self.stopping and host.now() - self.looked > ELSEWHERE_S then
    self.looked = host.now()
    self:look_elsewhere()
  end
  self.view:tick(self.running)
end

---Runs what is not over.
---@param plan_cells table[] of the plan
---@param given { folder: string, name: string, script: string, words: string[], rest: string[], jobs: integer,
---threads: integer, retries: integer, fail_fast: boolean?, pruner: table?, search: table?, metric: string,
---maximize: boolean?, view: table } words: overrides and options of every cell; rest: the script's own arguments
---@return integer code 0, 8 when cells failed, 128 + signal
function pool.run(plan_cells, given)
  local split = work.split(given.folder, plan_cells)
  local self = setmetatable({ cells = split.cells, done = split.done, queue = split.left, running = {}, elsewhere = {},
    failed = {}, retried = {}, promotions = {}, looked = host.now(), contact = contact.new(given.folder, given.view) },
    Pool)
  for key, value in pairs(given) do self[key] = value end
  self.view:begin(self.done, self.queue)
  host.watch_stop(true)
  local ok, problem = pcall(function()
    while not self:is_over() do self:step() end
  end)
  if not ok then
    send(self.running, 'TERM') -- the cells save; their claims say how they end
    while next(self.running) do
      for _, how in ipairs(host.wait_children(LOOK_S)) do self.running[how.pid] = nil end
    end
  end
  host.watch_stop(false)
  self.view:finish()
  if self.contact then self.contact:finish() end
  if not ok then error(problem, 0) end
  if self.stopping then return 128 + self.stopping end
  return next(self.failed) and work.FAILED_CELLS or 0
end

return pool
