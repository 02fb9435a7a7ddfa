-- The index of a sweep's folder: answers are the same with it, without it, and after it was damaged.
local host = require 'host'
local runs = require 'testing.runs'
local sweeps = require 'testing.sweeps'
local t = require 'testing'

local script = runs.write('small.lua', sweeps.SCRIPT)
local folder = runs.root .. '/results/small/sweep-indexed'
local path = folder .. '/index.sqlite'

local function status() return (runs.command('sweep', 'status', 'indexed')) end

local output, code = runs.command('sweep', script, 'optim.lr=0.01,0.02,0.03', '--name', 'indexed', '--pruner',
  'asha(min=1,eta=2)', '-j', '1')
assert(code == 0, output)

t.test('a sweep leaves an index, from which its state is read', function()
  t.is_true(host.stat(path) ~= nil)
  local with = status()
  local before = host.stat(path).mtime
  t.equal(status(), with)
  t.equal(host.stat(path).mtime, before, 'it was written again')
  os.remove(path)
  t.equal(status(), with)
  t.is_true(host.stat(path) ~= nil)
end)

t.test('a row is not believed once somebody claimed its cell again', function()
  local cell = sweeps.cells('indexed')[1]
  t.equal(cell.state == 'done' or cell.state == 'pruned', true, cell.state)
  local ended = cell.state == 'done' and 'FINISHED' or 'PRUNED'
  t.shell(('cd %s/cells/%s && cp -r claim-%d claim-%d && sed -i s/%s/FAILED/ claim-%d/exit.json'):format(folder,
    cell.id, cell.attempt, cell.attempt + 1, ended, cell.attempt + 1))
  t.equal(sweeps.cells('indexed')[1].state, 'failed')
  t.shell(('rm -r %s/cells/%s/claim-%d'):format(folder, cell.id, cell.attempt + 1))
  t.equal(sweeps.cells('indexed')[1].state, cell.state)
end)

t.test('a damaged index is made anew, and said to be', function()
  local with = status()
  t.shell(('head -c 5000 /dev/urandom >%s'):format(path))
  local told = status()
  t.contains(told, 'file is not a database; it is made anew from the files')
  t.equal(status(), with)
  told = runs.command('sweep', 'rebuild', 'indexed')
  t.contains(told, 'index     3 finished cells')
end)

t.test('an index that cannot be written is done without', function()
  os.remove(path)
  t.shell(('mkdir %s'):format(path))
  local told, got = runs.command('sweep', 'status', 'indexed')
  t.equal(got, 0, told)
  t.contains(told, 'done')
  t.shell(('rmdir %s'):format(path))
end)
