-- Which run a word of the command line means.
local host = require 'host'
local run_select = require 'runs.select'
local runs = require 'testing.runs'
local t = require 'testing'

local OLD, MIDDLE, NEW = '20260101-000000-aaaaaa', '20260101-000000-bbbbbb', '20260302-120000-cccccc'
local root = runs.root .. '/chosen'

local function make(experiment, id)
  t.shell(('mkdir -p %s/%s/%s && echo "{}" > %s/%s/%s/status.json'):format(root, experiment, id, root, experiment, id))
end

make('xor', OLD)
make('xor', MIDDLE)
make('shakespeare', NEW)
make('empty', 'sweep-x')
t.shell(('ln -s %s %s/xor/latest; touch %s/loose.txt; mkdir %s/folder'):format(OLD, root, root, root))
host.setenv('RUNNER_RESULTS_DIR', root)

local function chosen(word)
  local run = run_select.one(word)
  return run.experiment .. '/' .. run.id
end

t.test('guard G32: latest is the newest by id, whatever the times of files say', function()
  t.equal(chosen 'latest', 'shakespeare/' .. NEW)
  t.shell(('touch -d 2030-01-01 %s/xor/%s %s/xor/%s/status.json'):format(root, OLD, root, OLD))
  t.equal(chosen 'latest', 'shakespeare/' .. NEW)
end)

t.test('an experiment means its newest run, and so does its latest, even where the link is old', function()
  t.equal(chosen 'xor', 'xor/' .. MIDDLE)
  t.equal(chosen 'xor/latest', 'xor/' .. MIDDLE)
  t.equal(chosen(root .. '/xor/latest'), 'xor/' .. MIDDLE)
end)

t.test('an id and a beginning of it choose a run of any experiment', function()
  t.equal(chosen(OLD), 'xor/' .. OLD)
  t.equal(chosen '20260101-000000-a', 'xor/' .. OLD)
  t.equal(chosen '202603', 'shakespeare/' .. NEW)
  t.equal(chosen('xor/' .. OLD), 'xor/' .. OLD)
  t.equal(chosen 'xor/20260101-000000-b', 'xor/' .. MIDDLE)
end)

t.test('a path chooses a run, with or without a slash at its end', function()
  t.equal(chosen(root .. '/xor/' .. OLD), 'xor/' .. OLD)
  local run = run_select.one(root .. '/shakespeare/' .. NEW .. '/')
  t.equal(run, { experiment = 'shakespeare', id = NEW, path = root .. '/shakespeare/' .. NEW })
end)

t.test('a beginning that fits several runs is refused with them', function()
  local err = t.error_matches(function() chosen '20260101' end,
    "run '20260101': 2 runs begin with that: xor/.*; give more of the id")
  t.contains(err, ('xor/%s, xor/%s'):format(MIDDLE, OLD))
  t.error_matches(function() chosen 'xor/2026' end, '2 runs begin with that')
end)

t.test('a word that names no run is exit 2 with what was probably meant', function()
  local err = t.error_matches(function() chosen 'xro' end, "run 'xro' is not in '.*'; nearest: xor$")
  t.equal(require('fail').code_of(err), 2)
  t.error_matches(function() chosen 'shakespear/latest' end, 'nearest: shakespeare')
  t.error_matches(function() chosen 'xor/1999' end,
    "'xor' has no run with that id; it has xor/" .. MIDDLE:gsub('%-', '%%-'))
  t.error_matches(function() chosen 'nothing-like-it' end, 'newest runs: shakespeare/')
  t.error_matches(function() chosen '' end, "run '' is not in")
  t.error_matches(function() chosen(root .. '/folder') end, 'the folder has no status.json or manifest.json')
  t.error_matches(function() chosen(root .. '/loose.txt') end, 'the file has no status.json')
  t.error_matches(function() chosen(root .. '/xor/none') end, 'is not in')
  t.error_matches(function() chosen(root .. '/xor/') end, "the folder holds runs; its newest is .*/xor/latest$")
  t.error_matches(function() chosen 'empty' end,
    "run 'empty': the experiment has no runs in '.*'; newest runs: shakespeare/")
end)

t.test('several words give each run once, an experiment all of its runs', function()
  local ids = {}
  for i, run in ipairs(run_select.all { 'xor', MIDDLE, 'latest' }) do ids[i] = run.id end
  t.equal(ids, { OLD, MIDDLE, NEW })
end)

t.test('without any run the folder that was looked into is named', function()
  host.setenv('RUNNER_RESULTS_DIR', root .. '/folder')
  t.error_matches(function() chosen 'latest' end, "run 'latest': there are no runs in '.*/folder'$")
  host.setenv('RUNNER_RESULTS_DIR', nil)
  local output, code = t.shell(('cd %s && %s -e "require(\'runs.select\').one \'latest\'"'):format(root, runs.RUNNER))
  t.contains(output, "there are no runs in 'results'; go to the folder that holds results/, or set RUNNER_RESULTS_DIR")
  t.equal(code, 2, output)
end)
