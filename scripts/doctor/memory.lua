-- Memory of the machine and of the cgroup, and the cap on tensors.
local finding = require 'base.finding'
local host = require 'host'
local read_file = require 'base.read_file'

local GIB, MIB = 2 ^ 30, 2 ^ 20
local LEAST, LITTLE = 256 * MIB, GIB

local size = finding.size

-- The tightest memory limit of the process's cgroup (v2 or v1) in bytes and its file, or nil.
local function cgroup_memory()
  local tightest, source
  local function look(path)
    local bytes = tonumber(read_file(path) or '')
    if bytes and bytes < 2 ^ 60 and (not tightest or bytes < tightest) then tightest, source = bytes, path end
  end
  for line in (read_file '/proc/self/cgroup' or ''):gmatch '[^\n]+' do
    local controllers, path = line:match '^%d+:([^:]*):(.*)$'
    while path and (controllers == '' or controllers == 'memory') do
      look(controllers == '' and '/sys/fs/cgroup' .. path .. '/memory.max'
        or '/sys/fs/cgroup/memory' .. path .. '/memory.limit_in_bytes')
      path = path:match '^(.*)/[^/]*$'
    end
  end
  look '/sys/fs/cgroup/memory.max'
  look '/sys/fs/cgroup/memory/memory.limit_in_bytes'
  return tightest, source
end

return { place = 3, look = function(context)
  local info = read_file '/proc/meminfo' or ''
  local function kb(name) return (tonumber(info:match(name .. ':%s+(%d+) kB')) or 0) * 1024 end
  local total, available = kb 'MemTotal', kb 'MemAvailable'
  local limit, source = cgroup_memory()
  local cap = context.memory.limit_mb * 1e6
  local cap_from = host.getenv 'RUNNER_MEM_LIMIT' and 'RUNNER_MEM_LIMIT' or 'default'
  local limited = limit and 'cgroup limit ' .. size(limit) or 'no cgroup limit'
  local found = finding.new({ ('%s, %s available, %s'):format(size(total), size(available), limited),
    ('tensors may take %s (%s)'):format(size(cap), cap_from) }, {
    total_bytes = total, available_bytes = available, cgroup_limit_bytes = limit, tensor_limit_bytes = cap })
  if available > 0 and available < LITTLE then
    found:problem(available < LEAST and 'FAIL' or 'warn', 'little memory is left: runs will swap or be killed',
      'ps -eo pid,rss,args --sort=-rss | head')
  elseif limit and cap > limit then
    found:problem('warn', ('the cap on tensors is above the limit in %s: a run would be killed, not told')
      :format(source), ('export RUNNER_MEM_LIMIT=%dMiB'):format(math.floor(0.9 * limit / MIB)))
  end
  return found
end }
