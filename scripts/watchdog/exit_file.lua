-- exit.json for a process that cannot write it any more, as engine/run/README.md specifies it.
local dkjson = require 'dkjson'
local files = require 'files'
local host = require 'host'
local run_files = require 'runs.files'

local exit_file = {}

---Closes a run unless it is closed already.
---@param run string its folder
---@param facts { state: string, code: integer, reason: string, step: integer?, phase: string?, cpu_s: number?,
---peak_rss_mb: number?, guards: table[]? }
function exit_file.write(run, facts)
  if host.stat(run .. '/exit.json') then return end
  local status = run_files.read_json(run .. '/status.json') or {}
  local started, now = run_files.seconds(status.started), host.unix_time()
  local exit = { format = 1, attempt = status.attempt or 1, state = facts.state, code = facts.code,
    reason = facts.reason, phase = facts.phase, step = facts.step or status.step, steps = status.steps,
    started = status.started, wall_s = started and now - started, cpu_s = facts.cpu_s,
    ended = os.date('!%Y-%m-%dT%H:%M:%S', now) .. ('.%03dZ'):format(math.floor(now % 1 * 1000)),
    peak_rss_mb = facts.peak_rss_mb, summary = setmetatable({}, { __jsontype = 'object' }),
    guards = facts.guards or setmetatable({}, { __jsontype = 'array' }) }
  pcall(files.write, run .. '/exit.json', dkjson.encode(exit, { indent = true }) .. '\n') -- nobody is left to be told
end

return exit_file
