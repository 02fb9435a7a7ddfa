-- What a running sweep tells: on a terminal a table that is drawn anew, elsewhere a line for each event and one every
-- half minute.
local cells = require 'sweep.cells'
local console = require 'console'
local duration = require 'base.duration'
local findings = require 'compare.findings'
local host = require 'host'
local metric = require 'sweep.metric'
local pretty = require 'pretty'
local record = require 'compare.record'
local run_files = require 'runs.files'

local progress = {}

local LINE_S, DRAW_S = 30, 0.5
local CLEAR_LINE = '\27[2K'

local View = {}
View.__index = View

---@param about { cells: table[], total: integer, asked: string?, maximize: boolean?, jobs: integer,
---quiet: boolean? }
function progress.new(about)
  local view = setmetatable({ drawn = 0, failures = 0, walls = {}, at = {} }, View)
  for key, value in pairs(about) do view[key] = value end
  for i, cell in ipairs(about.cells) do view.at[cell.id] = i end
  view.live = not about.quiet and host.isatty(2) and host.getenv 'TERM' ~= 'dumb'
  view.said, view.shown = host.now(), -math.huge
  return view
end

---A cell's settings on one line.
---@param cell { set: string[] }
---@return string
function progress.settings(cell)
  return table.concat(cell.set, ' ')
end

function View:say(text, ...)
  self:erase()
  console.note(text:format(...))
end

function View:erase()
  if self.drawn == 0 then return end
  io.stderr:write(('\27[%dA\r\27[J'):format(self.drawn))
  self.drawn = 0
end

-- Keeps the best value so far. Those of another metric do not count: where one cell validates, training losses are
-- no answer.
function View:take(cell, exit)
  local values, name = metric.values({ exit }, self.asked)
  local value = values[1]
  if value and name ~= self.metric then
    if self.metric == record.DEFAULT_METRICS[1] then return nil end
    self.metric, self.best, self.best_cell = name, nil, nil
  end
  local counts = value and exit.state == 'FINISHED' -- a pruned cell was given up before its end
  if exit and exit.wall_s then self.walls[#self.walls + 1] = exit.wall_s end
  local better = counts and (not self.best or (self.maximize and value > self.best or not self.maximize
    and value < self.best))
  if better then self.best, self.best_cell = value, cell end
  return value
end

function View:begin(done, queue)
  self.over = 0
  for _, cell in ipairs(self.cells) do
    local now = done[cell.id]
    if now then
      self.over = self.over + 1
      self:take(cell, now.exit)
    end
  end
  self.walls, self.began = {}, host.now()
  if self.over > 0 and #queue > 0 then
    self:say('%s of %d cells are over; %s', self.over, self.total, pretty.plural(#queue, 'is', 'are') .. ' left')
  end
end

function View:label(cell)
  return ('cell %d/%d %s  %s'):format(self.at[cell.id] or cell.i, self.total, cell.id, progress.settings(cell))
end

---Cells that a sampler decided about.
function View:planned(new)
  for _, cell in ipairs(new) do self.at[cell.id] = cell.i end
end

function View:promoted(cell)
  self.over = self.over - 1
  self:say('%s: is among the best by now and goes on', self:label(cell))
end

function View:started(cell)
  if not self.live then self:say('%s: started', self:label(cell)) end
end

-- Another process was faster.
function View:elsewhere(cell, now)
  self:say('%s: process %s on %s works on it', self:label(cell), tostring(now.pid), tostring(now.host))
end

function View:again(cell, now)
  self:say('%s: %s; it is begun again from its newest checkpoint', self:label(cell),
    now.exit and now.exit.reason ~= '' and now.exit.reason or now.state)
end

function View:ended(cell, now, child)
  local exit = now.exit or {}
  local wall = exit.wall_s and (' after ' .. duration.short(exit.wall_s)) or ''
  if cells.is_over(now.state) then
    self.over = self.over + 1
    local value = self:take(cell, exit)
    if not child then return end
    self:say('%s: %s%s%s', self:label(cell), now.state, wall,
      value and (', %s %s'):format(self.metric, findings.number(value)) or '')
  elseif now.state == 'stopped' then
    self:say('%s: stopped%s', self:label(cell), wall)
  else
    self.failures = self.failures + 1
    self:say('%s: failed%s, exit code %s: %s', self:label(cell), wall, tostring(exit.code or 'NA'),
      exit.reason and exit.reason ~= '' and exit.reason or now.state)
    for _, line in ipairs(now.lines or {}) do self:say('    %s', line) end
  end
end

-- The study does not answer, or answers again.
function View:study_silent(message)
  self:say('the study does not answer, so no further cell is started; those that run go on: %s', message)
end

function View:study_answers()
  self:say('the study answers again')
end

function View:stopping(signal, waits)
  self:say('signal %d: no further cell is started%s', signal,
    waits and '; those that run save and leave (again: end them at once)' or '')
end

-- Seconds until all is done, from the cells so far.
function View:eta()
  if #self.walls == 0 then return nil end
  local sum = 0
  for _, wall in ipairs(self.walls) do sum = sum + wall end
  return sum / #self.walls * (self.total - self.over - self.failures) / self.jobs
end

function View:heading(running)
  local eta = self:eta()
  return ('%d of %d cells over%s, %d running%s%s'):format(self.over, self.total,
    self.failures > 0 and (', %d failed'):format(self.failures) or '', running,
    eta and ', eta ' .. duration.short(eta) or '',
    self.best and ('; best %s %s: %s'):format(self.metric, findings.number(self.best),
      progress.settings(self.best_cell)) or '')
end

-- How far a running cell is: its run's .progress, and the loss of its status.json.
local function child_text(child)
  local run = host.realpath(child.folder .. '/run')
  local status = run and run_files.read_json(run .. '/status.json') or {}
  local now = run and host.read_progress(run .. '/.progress')
  local parts = { ('%s  %s'):format(child.cell.id, progress.settings(child.cell)) }
  if now and now.step > 0 then
    parts[#parts + 1] = ('step %d%s'):format(now.step, status.steps and ('/%d'):format(status.steps) or '')
  else
    parts[#parts + 1] = status.phase or 'starts'
  end
  if type(status.loss) == 'number' then parts[#parts + 1] = ('loss %s'):format(findings.number(status.loss)) end
  local eta = type(status.eta_s) == 'table' and status.eta_s[2]
  if eta then parts[#parts + 1] = 'eta ' .. duration.short(eta) end
  return table.concat(parts, '  ')
end

function View:tick(running)
  local now, count = host.now(), 0
  for _ in pairs(running) do count = count + 1 end
  if self.live then
    if now - self.shown < DRAW_S then return end
    self.shown = now
    local lines, children = { self:heading(count) }, {}
    for _, child in pairs(running) do children[#children + 1] = child end
    table.sort(children, function(a, b) return a.cell.i < b.cell.i end)
    for _, child in ipairs(children) do lines[#lines + 1] = '  ' .. child_text(child) end
    self:erase()
    local width = (host.columns(2) or 80) - 1
    for _, line in ipairs(lines) do io.stderr:write(CLEAR_LINE, line:sub(1, width), '\n') end
    self.drawn = #lines
  elseif now - self.said >= LINE_S then
    self.said = now
    self:say('%s', self:heading(count))
    for _, child in pairs(running) do self:say('  %s', child_text(child)) end
  end
end

function View:finish()
  self:erase()
end

return progress
