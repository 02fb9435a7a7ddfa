-- PyTorch eager as the peer of `runner bench`: Debian's python3-torch, in a process of its own, by the script
-- bench/peer.py that the binary carries.
local host = require 'host'
local native = require 'boot.native'

local bench_peer = { python = '/usr/bin/python3' }

local END = 'LANTHORN_PEER_SCRIPT' -- of the here-document that hands the script over; no line of it reads so

-- The peer is pinned as we are: it inherits the variables, by which OpenMP binds its threads.
local function command(context, words)
  local environment = ('%s env OMP_WAIT_POLICY=passive OMP_NUM_THREADS=%d'):format(bench_peer.on_all_cpus(),
    context.threads)
  return ("%s %s - %s 2>&1 <<'%s'\n%s\n%s\n"):format(environment, bench_peer.python, words, END,
    host.embedded('bench/peer.py'), END)
end

---What a command begins with to get every CPU that this runner started with: a thread that is bound hands its one
---core down to the processes it starts. Empty when nothing is pinned.
---@return string
function bench_peer.on_all_cpus()
  local settings = native.settings()
  if settings.pinning.value == 'none' or not settings.cpus then return '' end
  return 'taskset -c ' .. settings.cpus
end

local function lines_of(text)
  local lines = {}
  local pipe = assert(io.popen(text))
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  return lines
end

---Runs a command of the shell that prints a line "ms 12.3" for each step.
---@param text string
---@return number[] times in ms
---@return string last the last line, which says why there are no times
function bench_peer.times(text)
  local times, lines = {}, lines_of(text)
  for _, line in ipairs(lines) do times[#times + 1] = tonumber(line:match '^ms (%S+)$') end
  return times, lines[#lines] or 'no answer'
end

---Whether there is a peer: PyTorch's version, or nil and why not.
---@param context table
---@return string? version, string? reason
function bench_peer.version(context)
  if not host.stat(bench_peer.python) then return nil, bench_peer.python .. ' does not exist' end
  local lines = lines_of(command(context, 'version'))
  for _, line in ipairs(lines) do
    local version = line:match '^version (%S+)$'
    if version then return version end
  end
  return nil, lines[#lines] or 'no answer'
end

---Runs one case in a new process.
---@param context table
---@param case string
---@return number[]? times in ms
function bench_peer.run(context, case)
  local words = ('run %d %d %d %s'):format(context.threads, context.warmup, context.steps, case)
  local times, last = bench_peer.times(command(context, words))
  if #times > 0 then return times end
  context.note(("peer: '%s' gave no times: %s"):format(case, last))
  return nil
end

return bench_peer
