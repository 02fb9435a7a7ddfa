-- Sweeps as a user runs them: each cell once, whatever is killed and whoever else works on the same sweep.
local host = require 'host'
local read_file = require 'base.read_file'
local runs = require 'testing.runs'
local sweeps = require 'testing.sweeps'
local t = require 'testing'

local script = runs.write('small.lua', sweeps.SCRIPT)

local function sweep(...) return runs.command('sweep', script, ...) end

local function folder(name) return ('%s/results/small/sweep-%s'):format(runs.root, name) end

-- The cells of a sweep by their settings.
local function cells(name)
  local found = {}
  for _, cell in ipairs(sweeps.cells(name)) do found[table.concat(cell.set, ' ')] = cell end
  return found
end

local states = sweeps.states

-- Lines of a comparison without what a clock and a draw decide.
local function table_of(name)
  local output = runs.command('compare', name)
  return (output:gsub('small/%d+%-%d+%-%x+', 'RUN'):gsub('%d+%-%d+%-%d+ %d+:%d+:%d+', 'TIME')
    :gsub('time to val_loss.*', ''))
end

t.test('each cell is run once, and the same command again has nothing to do', function()
  local words = { 'optim.lr=0.01,0.02', 'model.width=3,4', '--name', 'once', '-j', '2' }
  local output, code = sweep(unpack(words))
  t.equal(code, 0, output)
  t.equal(states 'once', { done = 4 }, output)
  t.contains(output, 'best val_loss')
  local again, code_again = sweep(unpack(words))
  t.equal(code_again, 0, again)
  t.contains(again, '4 of 4 cells over')
  t.is_false(again:find 'started', again)
  for set, cell in pairs(cells 'once') do
    t.fields(cell, { attempt = 1 }, set)
    t.fields(cell.exit, { code = 0, steps = 12 }, set)
  end
end)

t.test("a cell's run has the cell's config, and says where it came from", function()
  local cell = cells('once')['optim.lr=0.02 model.width=3']
  local path = ('%s/cells/%s/run'):format(folder 'once', cell.id)
  local config, manifest = runs.json(path .. '/config.json'), runs.json(path .. '/manifest.json')
  t.equal({ config.values.optim.lr, config.values.model.width }, { 0.02, 3 })
  t.equal({ config.origin['optim.lr'], config.origin['model.width'] }, { 'cell', 'cell' })
  t.equal(manifest.sweep, { name = 'once', cell = cell.id })
end)

t.test('a cell that fails keeps its error and its exit code; the others go on, and only it is run again', function()
  local words = { 'test.fail_at=2,100', 'seeds=2', '--name', 'broken', '-j', '2' }
  local output, code = sweep(unpack(words))
  t.equal(code, 8, output)
  t.equal(states 'broken', { done = 2, failed = 2 })
  local cell = cells('broken')['test.fail_at=2 train.seed=1']
  t.equal(cell.exit.code, 1)
  t.contains(cell.exit.reason, 'the cell breaks')
  t.contains(output, 'the cell breaks')
  local again, code_again = sweep(unpack(words))
  t.equal(code_again, 8, again)
  t.equal(cells('broken')['test.fail_at=2 train.seed=1'].attempt, 2)
  t.equal(cells('broken')['test.fail_at=100 train.seed=1'].attempt, 1)
end)

t.test('--fail-fast starts no further cell after one that failed', function()
  local output, code = sweep('test.fail_at=2,50,51,52', '--name', 'fast', '-j', '1', '--fail-fast')
  t.equal(code, 8, output)
  t.equal(states 'fast', { failed = 1, missing = 3 })
end)

t.test('a killed sweep is finished by the same command, and comes to what an undisturbed one comes to', function()
  local words = { 'optim.lr=0.01,0.02,0.03', 'seeds=2', 'test.sleep=0.1', '-j', '2', '-q' }
  local function with_name(name) return script, words[1], words[2], words[3], '--name', name, unpack(words, 4) end
  t.equal(select(2, runs.command('sweep', with_name 'whole')), 0)
  local pool = runs.start { 'sweep', with_name 'killed' }
  local function trained()
    for _, cell in pairs(cells 'killed') do
      local path = ('%s/cells/%s/run/checkpoints/latest'):format(folder 'killed', cell.id)
      if cell.state == 'running' and host.stat(path) then return cell end
    end
  end
  pool:wait_until('a checkpoint in a running cell', function()
    return trained()
  end)
  local worker = trained()
  if worker then host.kill(worker.pid, 'KILL') end
  pool:signal 'KILL'
  pool:wait()
  local output, code = runs.command('sweep', with_name 'killed')
  t.equal(code, 0, output)
  t.equal(states 'killed', { done = 6 })
  t.equal(table_of 'killed', table_of 'whole')
end)

t.test('two that run the same sweep at once share its cells', function()
  local words = { 'sweep', script, 'optim.lr=0.01,0.02,0.03', 'seeds=2', '--name', 'shared', '-j', '1' }
  local one, other = runs.start(words), runs.start(words)
  for _, pool in ipairs { one, other } do
    local output, code = pool:wait()
    t.equal(code, 0, output)
    t.contains(output, '6 of 6 cells over')
  end
  for set, cell in pairs(cells 'shared') do t.fields(cell, { state = 'done', attempt = 1 }, set) end
end)

t.test('two that run the same short cells again and again run each of them once', function()
  local tiny = runs.write('tiny.lua', "local cfg = require('experiment').config { a = 1, train = { seed = 1 } }\n"
    .. 'print(cfg.a, cfg.train.seed)\n')
  for round = 1, 20 do
    local words = { 'sweep', tiny, 'a=1,2', 'seeds=2', '--name', 'round' .. round, '-j', '2', '-q' }
    local one, other = runs.start(words), runs.start(words)
    for _, pool in ipairs { one, other } do
      local output, code = pool:wait()
      t.equal(code, 0, output)
    end
    local claims = 0
    local all = ('%s/results/tiny/sweep-round%d/cells'):format(runs.root, round)
    for _, id in ipairs(host.listdir(all)) do
      for _, name in ipairs(host.listdir(('%s/%s'):format(all, id))) do
        claims = claims + (name:find '^claim%-%d+$' and 1 or 0)
      end
    end
    t.equal(claims, 4, 'round ' .. round)
  end
end)

t.test('asked to end, a sweep lets its cells save; the same command goes on', function()
  local words = { 'sweep', script, 'seeds=2', 'test.sleep=0.2', '--name', 'stopped', '-j', '1' }
  local pool = runs.start(words)
  local id
  pool:wait_until('a running cell that trains', function()
    for _, cell in ipairs(sweeps.cells 'stopped') do
      local now = sweeps.progress(folder 'stopped', cell)
      if cell.state == 'running' and now and now.step > 1 then
        id = cell.id
        return true
      end
    end
  end)
  pool:signal 'TERM'
  local output, code = pool:wait()
  t.equal(code, 143, output)
  t.equal(states 'stopped', { stopped = 1, missing = 1 }, output)
  local again, code_again = runs.command(unpack(words))
  t.equal(code_again, 0, again)
  t.contains(read_file(('%s/cells/%s/output.log'):format(folder 'stopped', id)), 'resumed')
end)

t.test('a changed script is refused, or goes on with --allow-source-change, which the status shows', function()
  local path = runs.write('changing.lua', sweeps.SCRIPT)
  local words = { 'sweep', path, 'seeds=1', '--name', 'changing' }
  t.equal(select(2, runs.command(unpack(words))), 0)
  runs.write('changing.lua', sweeps.SCRIPT .. '\n-- a remark\n')
  local output, code = runs.command(unpack(words))
  t.equal(code, 3, output)
  t.contains(output, 'not what the sweep was planned with')
  words[#words + 1] = '--allow-source-change'
  t.equal(select(2, runs.command(unpack(words))), 0)
  t.contains(runs.command('sweep', 'status', 'changing'), 'changed during the sweep')
end)

t.test('a sweep script runs as a sweep, and the command line wins over it', function()
  runs.write('plan.lua', "return require 'sweep' { script = 'small.lua', params = { ['optim.lr'] = { 0.01, 0.02 } }, "
    .. "seeds = 2, where = function(c) return c.optim.lr < 0.02 or c.train.seed == 1 end }")
  local path = runs.root .. '/plan.lua'
  local output, code = runs.command('sweep', path, '-n')
  t.equal(code, 0, output)
  t.contains(output, '3 cells, 2 seeds each, 1 dropped by where')
  t.contains(runs.command('sweep', path, 'optim.lr=0.5', 'seeds=1', '-n', '--where', 'true'), '1 cell')
  local ran, code_ran = runs.command(path, 'seeds=1', 'optim.lr=0.01')
  t.equal(code_ran, 0, ran)
  t.contains(ran, '1 of 1 cell over')
end)

t.test('a name stands for one sweep: other options of its cells, a pruner or arguments are refused', function()
  local words = { 'optim.lr=0.01,0.02', 'model.width=3,4', '--name', 'once' }
  for _, other in ipairs { { '--fast-dev-run' }, { '--pruner', 'asha' }, { '--', 'argument' } } do
    local output, code = sweep(words[1], words[2], words[3], words[4], unpack(other))
    t.equal(code, 3, output)
    t.contains(output, "sweep 'once' exists and is another one")
  end
end)

t.test("words after -- are the script's own, in every cell", function()
  local path = runs.write('words.lua', "local cfg = require('experiment').config { a = 1 }\n"
    .. "print(cfg.a, arg[1], ...)\n")
  local output, code = runs.command('sweep', path, 'a=1,2', '--name', 'words', '-q', '--', 'x y', '--z')
  t.equal(code, 0, output)
  local all = runs.root .. '/results/words/sweep-words/cells'
  for _, id in ipairs(host.listdir(all)) do
    t.matches(read_file(('%s/%s/output.log'):format(all, id)), '^[12]\tx y\tx y\t%-%-z\n')
  end
end)

t.test('a metric that no cell has is told, with those that they have', function()
  local output, code = sweep('seeds=1', '--metric', 'val_los', '--name', 'metric')
  t.equal(code, 0, output)
  t.contains(output, "Found nothing: no run has the metric 'val_los'; nearest: val_loss")
end)

t.test('only finished cells are ranked', function()
  local output = runs.command('sweep', 'top', 'stopped')
  t.contains(output, 'val_loss, lowest first')
  local pool = runs.start { 'sweep', script, 'seeds=1', 'test.sleep=0.3', '--name', 'half', '-j', '1' }
  pool:wait_until('an eval', function()
    local cell = sweeps.cells('half')[1]
    local now = cell and sweeps.progress(folder 'half', cell)
    return now and now.step > 5
  end)
  pool:signal 'TERM'
  pool:wait()
  t.equal(states 'half', { stopped = 1 })
  local ranked, code = runs.command('sweep', 'top', 'half')
  t.equal(code, 4, ranked)
end)

t.test('a sweep of a script that validates nothing is about its training losses', function()
  local blind = runs.write('blind.lua', (sweeps.SCRIPT:gsub(', val_x = x, val_y = y', '')))
  local output, code = runs.command('sweep', blind, 'optim.lr=0.1,0.001', '--name', 'blind', '-j', '1')
  t.equal(code, 0, output)
  t.matches(output, 'best train_loss [%d.]+  optim.lr=0.1\n')
  t.contains(output, 'Found for train loss')
  t.matches(runs.command('sweep', 'top', 'blind'), '^train_loss, lowest first.*\n  1 [^\n]*optim%.lr=0%.1\n')
  output, code = runs.command('sweep', 'top', 'blind', '--metric', 'val_loss')
  t.equal(code, 4, output)
  t.contains(output, "has the metric 'val_loss'; nearest: train_loss")
end)

t.test('resume goes on where the sweep is, from any folder', function()
  local output, code = t.shell(('cd / && %s sweep resume %s -q'):format(runs.RUNNER, folder 'half'))
  t.equal(code, 0, output)
  t.equal(states 'half', { done = 1 })
  t.fields(sweeps.cells('half')[1], { attempt = 2 })
end)

t.test('all sweeps are listed with how far they are', function()
  local output = runs.command('sweep', 'ls')
  t.matches(output, 'small/sweep%-once +4 of 4 over +best val_loss %d')
  t.matches(output, 'small/sweep%-broken +2 of 4 over, 2 failed')
end)

t.test('what cannot be planned is told before anything starts', function()
  local function refused(code, text, ...)
    local output, got = sweep(...)
    t.equal(got, code, output)
    t.contains(output, text)
  end
  refused(3, "unknown key 'optim.lrr'; nearest: optim.lr", 'optim.lrr=1,2')
  refused(3, 'range from 3 to 1 is empty', 'optim.lr=range(3,1)')
  refused(3, 'takes lists of one length', 'zip(optim.lr=1,2;model.width=1,2,3)')
  refused(3, '`where` rejects all 2 combinations', 'optim.lr=1,2', '--where', 'optim.lr > 5')
  refused(3, 'where: ', 'optim.lr=1,2', '--where', 'optm.lr > 5')
  refused(2, 'say how many with --trials', 'optim.lr=uniform(0,1)')
  refused(2, "sampler 'sobl' is not known; nearest: sobol", 'optim.lr=uniform(0,1)', '--trials', '2', '--sampler',
    'sobl')
  refused(3, "sweep 'once' exists and is another one (axes:", 'optim.lr=1,2', '--name', 'once')
  refused(2, 'the name of a sweep must match', 'optim.lr=1,2', '--name', 'A b')
  refused(2, "'foo' is not an override or an axis", 'foo')
  t.equal(select(2, runs.command('sweep', 'status', 'nothing')), 2)
end)
