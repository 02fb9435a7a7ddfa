-- A run as one TensorBoard event file, for runs that were made without the callback `tensorboard`.
local fail = require 'fail'
local host = require 'host'
local metric_tags = require 'runs.tags'
local output_files = require 'base.output_files'
local run_files = require 'runs.files'
local run_metrics = require 'runs.metrics'

local tensorboard = { summary = 'an event file for TensorBoard' }

local function first_time(run)
  for line in run_metrics.lines(run.path) do
    if type(line.t) == 'number' then return line.t end
  end
  return 0
end

-- The name the run itself would have given: when, where and by which process it began.
local function file_name(run, begun)
  local status = run_files.document(run.path, 'status.json') or {}
  return ('events.out.tfevents.%010d.%s.%d.1'):format(math.floor(begun), status.host or 'unknown', status.pid or 0)
end

-- Curves of several files in one folder are drawn as one, so a folder with another file is refused, --force or not.
local function check_folder(out, name)
  for _, other in ipairs(host.listdir(out) or {}) do
    if other ~= name and other:find('^events%.out%.tfevents%.') then
      fail.usage("'%s' holds %s, and TensorBoard draws all files of a folder as one run; choose another folder with "
        .. "--out", out, other)
    end
  end
end

---Writes the event file of a run into the folder `out`. Returns what was written.
---@param run { path: string }
---@param out string
---@param force boolean?
---@return { path: string, rows: integer }[]
function tensorboard.write(run, out, force)
  local rows = 0
  for line in run_metrics.lines(run.path) do
    if next(metric_tags.scalars(line)) then rows = rows + 1 end
  end
  if rows == 0 then return {} end
  local begun = first_time(run)
  local name = file_name(run, begun)
  local path = ('%s/%s'):format(out, name)
  check_folder(out, name)
  output_files.check_free(path, force)
  output_files.make_folder(out)
  output_files.remove(path .. '.tmp')
  local writer = require('lanthorn').run.event_file(path .. '.tmp', begun)
  for line in run_metrics.lines(run.path) do
    if line.event ~= 'resume' and line.event ~= 'rollback' then writer:write(line) end -- void lines are hidden already
  end
  output_files.rename(path .. '.tmp', path)
  return { { path = path, rows = rows } }
end

return tensorboard
