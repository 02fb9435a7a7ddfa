-- Sweeps whose cells depend on what has come of others: TPE, and pruners.
local host = require 'host'
local runs = require 'testing.runs'
local sweeps = require 'testing.sweeps'
local t = require 'testing'

local script = runs.write('slope.lua', sweeps.SCRIPT)
local status = sweeps.cells

local function count(rows, state)
  local found = 0
  for _, row in ipairs(rows) do found = found + (row.state == state and 1 or 0) end
  return found
end

t.test('TPE runs as many trials as were asked for, and the same command has nothing to do', function()
  local words = { 'sweep', script, 'optim.lr=loguniform(1e-4,0.1)', 'model.width=int(2,6)', '--trials', '12',
    '--sampler', 'tpe', '--name', 'tpe', '-j', '2' }
  local output, code = runs.command(unpack(words))
  t.equal(code, 0, output)
  local rows = status 'tpe'
  t.equal({ #rows, count(rows, 'done') }, { 12, 12 }, output)
  local again, code_again = runs.command(unpack(words))
  t.equal(code_again, 0, again)
  t.contains(again, '12 of 12 cells over')
  t.is_false(again:find('started', 1, true))
end)

t.test('with one worker the trials of TPE are the same on every machine', function()
  local function settings(name)
    local words = { 'sweep', script, 'optim.lr=loguniform(1e-4,0.1)', '--trials', '11', '--sampler', 'tpe', '--name',
      name, '-j', '1', '--fast-dev-run' }
    t.equal(select(2, runs.command(unpack(words))), 0)
    local made = {}
    for i, row in ipairs(status(name)) do made[i] = table.concat(row.set, ' ') end
    return made
  end
  t.equal(settings 'first', settings 'second')
end)

t.test('asha prunes, lets the best go on from their checkpoints, and one reaches the end', function()
  local output, code = runs.command('sweep', script, 'optim.lr=0.05,0.01,0.001,0.0001', '--pruner', 'asha(min=1,eta=2)',
    '--name', 'asha', '-j', '1')
  t.equal(code, 0, output)
  local rows = status 'asha'
  t.is_true(count(rows, 'done') >= 1, output)
  t.is_true(count(rows, 'pruned') >= 1, output)
  t.contains(output, 'is among the best by now and goes on')
  for _, row in ipairs(rows) do
    local run = ('%s/results/slope/sweep-asha/cells/%s/run'):format(runs.root, row.id)
    t.equal(runs.json(run .. '/exit.json').state, row.state == 'done' and 'FINISHED' or 'PRUNED', row.id)
    if row.state == 'pruned' then t.is_true(row.exit.step < 16, row.id) end
    if row.attempt > 1 then t.is_true(host.stat(run .. '/exit.1.json') ~= nil, 'it began anew') end
  end
end)

t.test('a cell that went on computes what one that was never stopped computes', function()
  local best
  for _, row in ipairs(status 'asha') do
    if row.state == 'done' then best = row end
  end
  local whole = runs.run(runs.read(script), best.set[1])
  t.equal(whole.exit.summary.val_loss, best.exit.summary.val_loss)
end)

t.test('TPE and pruners take the training loss of a script that validates nothing', function()
  local blind = runs.write('blind.lua', (sweeps.SCRIPT:gsub(', val_x = x, val_y = y', '')))
  local output, code = runs.command('sweep', blind, 'optim.lr=0.05,0.01,0.001,0.0001', '--pruner', 'asha(min=1,eta=2)',
    '--name', 'blind', '-j', '1')
  t.equal(code, 0, output)
  for _, row in ipairs(status 'blind') do
    local path = ('%s/results/blind/sweep-blind/cells/%s/reports.jsonl'):format(runs.root, row.id)
    t.is_true(host.stat(path) ~= nil, row.id)
  end
end)

t.test('what a sampler or a pruner cannot do is told', function()
  local function refused(code, text, ...)
    local output, got = runs.command('sweep', script, ...)
    t.equal(got, code, output)
    t.contains(output, text)
  end
  refused(2, 'tpe draws all that varies', 'optim.lr=1,2', 'model.width=int(1,2)', '--trials', '2', '--sampler', 'tpe')
  refused(3, "unknown key 'optim.l'", 'optim.l=uniform(1,2)', '--trials', '2', '--sampler', 'tpe')
  refused(2, "pruner 'ahsa' is not known; nearest: asha", 'optim.lr=1,2', '--pruner', 'ahsa')
  refused(3, "unknown option 'eat'; nearest: eta", 'optim.lr=1,2', '--pruner', 'asha(eat=2)')
  refused(3, 'eta', 'optim.lr=1,2', '--pruner', 'asha(eta=1)')
end)
