-- slurm: the cells as job arrays. The jobs need nothing of the process that submitted them; it watches, and may leave.
local cells = require 'sweep.cells'
local connection = require 'sweep.study.connection'
local contact = require 'sweep.study.contact'
local console = require 'console'
local dkjson = require 'dkjson'
local fail = require 'fail'
local files = require 'files'
local host = require 'host'
local pretty = require 'pretty'
local shell = require 'base.shell'
local slurm = require 'sweep.slurm'
local stopping = require 'sweep.stopping'
local work = require 'sweep.work'

local launcher = { summary = 'job arrays of Slurm' }

local LOOK_S = 5   -- between two looks at all cells
local SAVE_S = 120 -- before the time limit cells are asked to save and leave

local SIGINT = 2

local Watch = {}
Watch.__index = Watch

local function folder_of(self) return self.folder .. '/slurm' end

-- Arrays of earlier commands: { job, cells = ids in the order of their numbers }.
local function submissions(self)
  local found = {}
  for _, name in ipairs(host.listdir(folder_of(self)) or {}) do
    if name:find '^array%-%d+%.json$' then
      local about = dkjson.decode(files.read(('%s/%s'):format(folder_of(self), name)))
      if type(about) == 'table' and about.job then found[#found + 1] = about end
    end
  end
  return found
end

-- The states of cells that wait, run or end in an array, by id.
local function in_queue(self)
  local queued, jobs = {}, {}
  for _, about in ipairs(submissions(self)) do
    local numbers = slurm.queued(about.job)
    if next(numbers) then jobs[#jobs + 1] = about.job end
    for number, state in pairs(numbers) do queued[about.cells[number + 1] or ''] = state end
  end
  return queued, jobs
end

-- The script of an array. The shell is replaced, so that signals for the batch step reach the runner.
local function script_text(self, list)
  local words = { shell.quote(host.folder .. '/runner') }
  for _, word in ipairs(work.words(self, '@CELL@')) do words[#words + 1] = shell.quote(word) end
  local line = table.concat(words, ' '):gsub("'@CELL@'", '"$cell"')
  return table.concat({ '#!/bin/bash', '# One cell of the sweep for each job of the array.',
    ('cell=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" %s)'):format(shell.quote(list)),
    ('export OMP_NUM_THREADS=%d RUNNER_CELL="$cell" RUNNER_JOB="$SLURM_JOB_ID"'):format(self.threads),
    'exec ' .. line, '' }, '\n')
end

local function options_of(self, previous)
  local options = { '--requeue', '--open-mode=append', ('--signal=B:USR2@%d'):format(self.signal_s),
    ('--cpus-per-task=%d'):format(self.threads), ('--job-name=%s'):format('sweep-' .. self.name),
    ('--output=%s/%%A_%%a.log'):format(folder_of(self)),
    parallel = self.jobs_given and ('%%%d'):format(self.jobs) or nil }
  if self.time then options[#options + 1] = '--time=' .. self.time end
  for _, option in ipairs(self.slurm_options or {}) do options[#options + 1] = '--' .. option end
  -- Arrays of one command go one after the other, so that the number at once stays what was asked for.
  if previous and self.jobs_given then options[#options + 1] = '--dependency=afterany:' .. previous end
  return options
end

-- Submits cells, in arrays as large as the site allows.
function Watch:submit(list)
  local size, job = slurm.site().max_array, nil
  for from = 1, #list, size do
    local ids, paths = {}, {}
    for i = from, math.min(#list, from + size - 1) do
      ids[#ids + 1], paths[#paths + 1] = list[i].id, work.make_folder(self, list[i], self.promotions[list[i].id])
    end
    local stem
    local n = #submissions(self)
    repeat
      n = n + 1
      stem = ('%s/array-%d'):format(folder_of(self), n)
    until not host.stat(stem .. '.cells')
    files.write(stem .. '.cells', table.concat(paths, '\n') .. '\n')
    files.write(stem .. '.sh', script_text(self, stem .. '.cells'))
    job = slurm.submit(stem .. '.sh', #ids, options_of(self, job))
    files.write(stem .. '.json', dkjson.encode { job = job, cells = ids } .. '\n')
    console.note(('%-10sjob %s, %s'):format('slurm', job, pretty.plural(#ids, 'cell')))
  end
end

function Watch:is_silent()
  return self.contact and self.contact:is_silent() or false
end

function Watch:ended(cell, now)
  if self.contact then self.contact:ended(cell, now) end
  self.view:ended(cell, now, {})
end

-- Looks at all cells; those that nobody works on and that are not over are submitted as often as retries allow.
function Watch:look()
  if self.contact and not self.contact:answers(true) then return true end
  local queued, jobs = in_queue(self)
  self.queued_jobs, self.running = jobs, {}
  local again, waiting = {}, false
  for _, cell in ipairs(self.cells) do
    local now, state = cells.now(self.folder, cell.id), queued[cell.id]
    if cells.is_over(now.state) and (not state or state == 'COMPLETING') then
      if not self.done[cell.id] then self:ended(cell, now) end
      self.done[cell.id] = now
    elseif now.state == 'running' or state then
      waiting = true
      if now.state == 'running' then
        self.running[cell.id] = { cell = cell, folder = cells.folder(self.folder, cell.id) }
      end
    elseif not self.failed[cell.id] then
      local tries = self.tries[cell.id] or 0
      -- A cell that saved and left when Slurm asked has a job again; it may be lost, as a process may.
      local is_lost = now.state == 'lost' or now.state == 'missing' or now.exit and now.exit.state == 'PREEMPTED'
      local retry = tries == 0 or is_lost and tries <= self.retries
      if retry and not (self.fail_fast and next(self.failed)) then
        self.tries[cell.id] = tries + 1
        again[#again + 1] = cell
      elseif tries > 0 then
        self.failed[cell.id] = { cell = cell, now = now }
        self:ended(cell, now)
      end
    end
  end
  if #again > 0 then self:submit(again) end
  return waiting or #again > 0
end

-- Pruned cells that may go on, and trials that the results so far ask for.
function Watch:more()
  if work.next_trial(self) then return true end
  local promoted = {}
  for cell in function() return work.promoted(self, true) end do
    self.tries[cell.id], promoted[#promoted + 1] = 1, cell
  end
  if #promoted > 0 then self:submit(promoted) end
  return #promoted > 0
end

local function asks_to_cancel(self)
  if #self.queued_jobs == 0 then return false end
  local list = table.concat(self.queued_jobs, ', ')
  if not host.isatty(0) then
    console.warn(('the jobs go on: %s; to end them: scancel %s'):format(list, (list:gsub(',', ''))))
    return false
  end
  io.stderr:write(('\nend the jobs %s too? [y/N] '):format(list))
  return (io.read '*l' or ''):lower():sub(1, 1) == 'y'
end

---Raises (exit 9) when there is no Slurm.
launcher.check = slurm.check

---Ends the jobs of a sweep that was asked to stop; their cells save first.
---@param folder string of the sweep
function launcher.stop(folder)
  for _, about in ipairs(submissions { folder = folder }) do slurm.stop(about.job, slurm.queued(about.job)) end
end

local function stop_jobs(folder)
  stopping.ask(folder)
  launcher.stop(folder)
end

---Runs what is not over. See pool.run.
---@param plan_cells table[]
---@param given table
---@return integer code
function launcher.run(plan_cells, given)
  local split = work.split(given.folder, plan_cells)
  local self = setmetatable({ cells = split.cells, done = split.done, failed = {}, tries = {}, promotions = {},
    queued_jobs = {}, signal_s = SAVE_S }, Watch)
  for key, value in pairs(given) do self[key] = value end
  self.folder = host.realpath(self.folder)
  self.contact = contact.new(self.folder, self.view)
  self.view:begin(self.done, split.left)
  local made, message = files.make_folder(folder_of(self))
  if not made then fail.raise(9, '%s', message) end
  host.watch_stop(true)
  local signal
  while true do
    local waiting = self:look()
    if self.detach and self:is_silent() then fail.raise(9, connection.GO_ON, self.contact.message) end
    if self.detach then
      console.note(('%-10sthe jobs go on; runner sweep status %s'):format('slurm', self.folder))
      break
    end
    if not waiting and not self:more() and not self:is_silent() then break end
    for _ = 1, LOOK_S do
      self.view:tick(self.running)
      host.sleep(1)
      signal = signal or host.stop_signal()
      if signal then break end
    end
    if stopping.is_asked(self.folder) then -- and the jobs have their signal: a second one would end them at once
      signal = SIGINT
      break
    elseif self.contact and self.contact:asks_to_stop() then
      stop_jobs(self.folder)
      signal = SIGINT
      break
    elseif signal then
      self.queued_jobs = select(2, in_queue(self))
      host.watch_stop(false)
      if asks_to_cancel(self) then stop_jobs(self.folder) end
      break
    end
  end
  host.watch_stop(false)
  self.view:finish()
  if self.contact then self.contact:finish() end
  if signal then return 128 + signal end
  return next(self.failed) and work.FAILED_CELLS or 0
end

return launcher
