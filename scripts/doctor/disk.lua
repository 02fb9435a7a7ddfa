-- Disk for results and temporary files.
local finding = require 'base.finding'
local host = require 'host'
local run_files = require 'runs.files'

local GIB, MIB = 2 ^ 30, 2 ^ 20
local RESULTS_FAIL, RESULTS_WARN, TMP_WARN = 256 * MIB, 2 * GIB, 256 * MIB

-- The nearest folder above a path that exists: a results folder is made by its first run.
local function existing(path)
  while not host.stat(path) do path = path:match '^(.+)/[^/]+/?$' or (path:sub(1, 1) == '/' and '/' or '.') end
  return path
end

-- Free space where something will be written.
local function space(found, name, path, fail_below, warn_below, fix)
  local disk, message = host.disk(existing(path))
  found.data[name] = { path = path, free_bytes = disk and disk.free, writable = disk and disk.writable }
  if not disk then return found:problem('FAIL', ('%s: %s'):format(name, message), fix) end
  if not disk.writable or host.stat(existing(path)).type ~= 'dir' then
    return found:problem('FAIL', ("%s: '%s' cannot be written"):format(name, path), fix)
  end
  local text = ("%s: %s free in '%s'"):format(name, finding.size(disk.free), path)
  if disk.free < warn_below then
    return found:problem(disk.free < fail_below and 'FAIL' or 'warn', text .. ', too little for checkpoints', fix)
  end
  found.text[#found.text + 1] = text
end

return { place = 4, look = function()
  local found = finding.new({}, {})
  local tmp = host.getenv 'TMPDIR'
  space(found, 'results', run_files.root(), RESULTS_FAIL, RESULTS_WARN,
    'export RUNNER_RESULTS_DIR=/a/folder/with/space')
  space(found, 'tmp', tmp and tmp ~= '' and tmp or '/tmp', 0, TMP_WARN, 'export TMPDIR=/a/folder/with/space')
  return found
end }
