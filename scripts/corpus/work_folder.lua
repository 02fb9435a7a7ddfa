-- A folder of one's own in the cache, beside the final names: what is brought or made lies there until it is whole, so
-- that several processes may do it at once and one that dies leaves nothing that looks finished.
local files = require 'files'
local host = require 'host'
local shell = require 'base.shell'

local work_folder = {}

local DATA, MACHINE_UNFIT = 4, 9
local LEFT_OVER_MINUTES = 60 -- after this long the folder of another process is one that was killed

---The exit code for what a program said when it failed: 9 when there was no room, 4 otherwise.
---@param said string
---@return integer
function work_folder.code_of(said)
  return said:find 'No space left' and MACHINE_UNFIT or DATA
end

---Calls make(work) with a new folder, which is removed afterwards with all that is left in it.
---@param cache string the folder in which it lies; made if need be
---@param room integer bytes that must be free
---@param make fun(work: string): any, string?, integer?
---@return any made what make gives; nil when there is no place for the folder
---@return string? message
---@return integer? code
function work_folder.within(cache, room, make)
  local quoted = shell.quote(cache)
  local ok, problem = files.make_folder(cache)
  if not ok then return nil, problem, MACHINE_UNFIT end
  shell.run(('find %s -maxdepth 1 -name ".fetch-*" -mmin +%d -exec rm -rf {} +'):format(quoted, LEFT_OVER_MINUTES))
  local disk = host.disk(cache)
  if disk and disk.free < room then
    return nil, ("'%s' has %.1f MB free, expected at least %.1f MB"):format(cache, disk.free / 1e6, room / 1e6),
      MACHINE_UNFIT
  end
  local work
  ok, work = shell.run(('mktemp -d %s/.fetch-XXXXXX'):format(quoted))
  if not ok then return nil, work, MACHINE_UNFIT end
  local finished, made, message, code = pcall(make, work)
  shell.run('rm -rf ' .. shell.quote(work))
  if not finished then error(made, 0) end
  return made, message, code
end

return work_folder
