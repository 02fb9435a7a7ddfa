local host = require 'host'
local t = require 'testing'

local function expect(code, pattern, ...)
  local output, got = t.runner(...)
  t.matches(output, pattern)
  t.equal(got, code)
  return output
end

local SCRIPT = t.write_file [[
local experiment = require 'experiment'
local cfg = experiment.config { optim = { lr = 2e-3 }, train = { steps = 10, seed = 1 } }
print(cfg.optim.lr, cfg.train.steps, cfg.train.seed, arg[1])
]]

t.test('a script runs with overrides and its own arguments', function()
  expect(0, '^0.5\t20\t7\thello\n$', SCRIPT, 'optim.lr=0.5', 'train.steps=20', '--seed', '7', '--', 'hello')
  expect(0, '^0.5\t10\t1\tnil\n$', 'run', SCRIPT, 'optim.lr=0.5')
end)

t.test('an unknown key is exit 3 with the nearest', function()
  expect(3, "^error: unknown key 'optim.lrate'; nearest: optim.lr %(number, 0.002%)\n$", SCRIPT, 'optim.lrate=3')
end)

t.test('an option for a key that is missing is exit 3', function()
  local script = t.write_file "require 'experiment'.config { a = 1 }"
  expect(3, "%-%-device sets 'train.device'", script, '--device', 'cpu')
end)

t.test('an axis given to run is exit 3', function()
  expect(3, 'asks for several runs', SCRIPT, 'optim.lr=1,2')
end)

t.test('an override for a script without config is exit 3', function()
  expect(3, 'never called experiment.config', t.write_file 'print(1)', 'a=1')
end)

t.test('a dry run prints the config with origins and stops at the trainer', function()
  local script = t.write_file [[
local experiment = require 'experiment'
experiment.config { a = 1, b = 'x' }
experiment.stop_if_dry_run { '3 parameters' }
print 'not reached']]
  expect(0, "^a = 2    %(cli%)\nb = 'x'  %(script%)\n3 parameters\n$", script, 'a=2', '-n')
  expect(0, 'optim.lr = 0.002 ', SCRIPT, '--dry-run')
end)

t.test('unknown commands, options and files are exit 2 with the nearest', function()
  expect(2, "unknown command 'lss'; nearest: ls\n", 'lss')
  expect(2, "unknown option '%-%-sed'", SCRIPT, '--sed', '3')
  expect(2, "does not exist; nearest: " .. SCRIPT:gsub('%-', '%%-'), (SCRIPT:gsub('%.lua$', 'q.lua')))
  expect(2, 'is a folder', '/tmp/')
  expect(2, "'word' is not an override", SCRIPT, 'word')
  expect(2, 'expected a whole number', SCRIPT, '--threads', '0')
  expect(2, 'expected a size', SCRIPT, '--mem-limit', 'lots')
  expect(2, 'needs a folder', '--scripts', '/nowhere')
end)

t.test('a script error shows message and stack of the user only, exit 1', function()
  local path = t.write_file 'local function f(x) return x.y end\nf(nil)\nprint(1)'
  local output = expect(1, '^error: ' .. path:gsub('%p', '%%%0') .. ":1: attempt to index local 'x'", path)
  t.contains(output, path .. ":1: in function 'f'")
  t.contains(output, path .. ':2: in main chunk')
  t.is_false(output:find('lanthorn', 1, true), output)
end)

t.test('a syntax error shows file and line', function()
  local path = t.write_file 'x = 1\nx = = 2'
  t.contains(expect(1, '^error: ', path), path .. ":2: unexpected symbol near '='")
end)

t.test('an error of the library carries its exit code', function()
  expect(4, ':1: no data\n$', '-e', 'require("fail").data("no data")')
end)

t.test('bytecode is refused wherever it comes from', function()
  local path = t.write_file(string.dump(function() end))
  local message = 'is LuaJIT bytecode; give the runner source text'
  t.contains(expect(1, "^error: script '" .. path:gsub('%p', '%%%0') .. "': ", path), message)
  expect(1, message, '-e', ('dofile(%q)'):format(path))
  expect(0, message, '-e', 'print(select(2, load(string.dump(function() end))))')
  expect(0, message, '-e', 'print(select(2, loadstring(string.dump(function() end), "=x")))')
  expect(0, message, '-e', ('print(select(2, loadfile(%q)))'):format(path))
  expect(1, message, '-e', ('package.path = %q; require "q"'):format(path))
  expect(0, 'bytecode cannot', '-e', 'print(select(2, load("x", "x", "b")))')
end)

t.test('load keeps its environment, names and pieces', function()
  expect(0, '^5\n$', '-e', 'print(load("return v", "=x", "t", { v = 5 })())')
  expect(0, '^6\n$', '-e',
    'local parts = { "return ", "6" }; print(load(function() return table.remove(parts, 1) end)())')
  expect(1, 'myname:1: boom', '-e', 'load("error(\'boom\')", "=myname")()')
end)

t.test('undeclared globals warn with -g and fail with -gg', function()
  local code = 'local function f() zz = 1 end f() print(rawget(_G, "zz"))'
  expect(0, "^warning: .*undeclared global 'zz'\n1\n$", '-g', '-e', code)
  expect(1, "^error: .*undeclared global 'zz'", '-gg', '-e', code)
  expect(0, '^1\n$', '-e', code)
  expect(0, '^3\n$', '-gg', '-e', 'top = 3 print(top)')
end)

t.test('os.exit ends a script with its code, after the work that is pending', function()
  expect(5, '^bye 5\n$', '-e', 'require("boot.at_exit").add(function(code) print("bye " .. code) end) os.exit(5)',
    '-e', 'print("not reached")')
  expect(1, '^$', '-e', 'os.exit(false)')
  expect(0, '^$', '-e', 'os.exit()')
end)

t.test('libraries are required before code, in order', function()
  expect(0, '^2\n$', '-l', 'fail', '-e', 'print(fail.code_of(select(2, pcall(fail.usage, "x"))))')
end)

t.test('a library that fails shows the calls of its own', function()
  local folder = t.temporary_folder()
  local file = assert(io.open(folder .. '/broken.lua', 'w'))
  file:write "local function deep() error 'boom' end\nlocal function build() deep() end\nbuild()\n"
  file:close()
  local output, code = t.shell(('LUA_PATH=%s/?.lua %s/runner -l broken -e "print(1)"'):format(folder, host.folder))
  t.equal(code, 1, output)
  t.matches(output, "^error: %S+/broken.lua:1: boom\n")
  t.contains(output, "broken.lua:1: in function 'deep'\n")
  t.contains(output, 'broken.lua:3: in main chunk\n')
end)

-- A folder with these files; main.lua runs as the script.
local function with_files(files, ...)
  local folder = t.temporary_folder()
  t.shell('mkdir ' .. folder .. '/fit')
  for name, text in pairs(files) do
    local file = assert(io.open(folder .. '/' .. name, 'w'))
    file:write(text)
    file:close()
  end
  local output, code = t.runner(folder .. '/main.lua', ...)
  return output, code, folder
end

t.test('a module beside the script is that script\'s, and the library\'s own are untouched', function()
  local mine = 'return { mine = true }'
  local output, code, folder = with_files({
    ['data.lua'] = mine, ['guards.lua'] = mine, ['host.lua'] = mine, ['fit/report.lua'] = mine, ['fail.lua'] = mine,
    ['main.lua'] = [[
      local data, guards, host = require 'data', require 'guards', require 'host'
      local report, fail = require 'fit.report', require 'fail'
      print(data.mine, guards.mine, host.mine, report.mine, fail.mine)
      require('experiment').config { train = { epochs = 1 } }]] }, 'train.epochs=many')
  t.equal(code, 3) -- the library's fail and nearest did their work
  t.contains(output, 'true\ttrue\ttrue\ttrue\ttrue\n')
  t.contains(output, ("note: require 'data' is %s/data.lua, not the runner's module\n"):format(folder))
  t.is_false(output:find("require 'guards'", 1, true), output)
end)

t.test('a script with the name of a module does not stand before that module', function()
  local output = with_files { ['train.lua'] = 'print(1)\n', ['main.lua'] = "print(type(require('train').fit))" }
  t.equal(output, 'function\n')
end)

t.test('modules beside the script are found', function()
  local helper = t.write_file 'return { answer = 42 }'
  local name = helper:match('([^/]*)%.lua$')
  expect(0, '^42\n$', t.write_file(('print(require(%q).answer)'):format(name)))
end)

t.test('a module is still found by the name it had before it got a room, which is told', function()
  local output = with_files { ['main.lua'] = "print(require('run_files') == require('runs.files'))" }
  t.equal(output, "note: module 'run_files' is 'runs.files' now\ntrue\n")
end)

t.test('a module that does not exist is told with the nearest, wherever it is asked for', function()
  local output, code = t.runner('-e', "require 'dtaa'")
  t.equal(code, 1, output)
  t.contains(output, "no module 'dtaa' of the runner; nearest: data\n")
  output, code = t.runner('-l', 'statistcs', '-e', 'print(1)')
  t.equal(code, 1, output)
  t.matches(output, "^error: module 'statistcs' not found:\n")
  t.contains(output, 'nearest: statistics\n')
end)

t.test('former names lead to files', function()
  local modules = require 'boot.modules'
  for former, today in pairs(require 'boot.former_names') do
    local found = 0
    for _, path in ipairs(modules.candidates(today)) do found = found + (host.embedded(path) and 1 or 0) end
    t.equal(found, 1, former)
  end
end)

t.test('the library comes before LUA_PATH', function()
  expect(0, '^table\n$', '-e', 'package.path = "/nowhere/?.lua"; print(type(require "options"))')
end)

t.test('--scripts takes library files from a folder', function()
  local folder = t.temporary_folder()
  t.shell(('mkdir %s/boot && echo "return { mark = 7 }" > %s/boot/strict.lua'):format(folder, folder))
  expect(0, '^7\n$', '--scripts', folder, '-e', 'print(require("boot.strict").mark)')
end)

t.test('sizes are read with their units', function()
  expect(0, '^1610612736\n$', '--mem-limit', '1.5GiB', '-e', 'print(require("host").getenv("RUNNER_MEM_LIMIT"))')
end)

t.test('flags reach the experiment', function()
  expect(0, '^3\ttwo words\ta,b\n$', '--fast-dev-run=3', '--name', 'two words', '--tag', 'a', '--tag', 'b', '-e',
    'local f = require("experiment").current().flags print(f.fast_dev_run, f.name, table.concat(f.tags, ","))')
  expect(0, '^1\n$', '--fast-dev-run', '-e', 'print(require("experiment").current().flags.fast_dev_run)')
end)

t.test('help and version load nothing native', function()
  expect(0, 'Usage: runner.*\n  run  ', '--help')
  expect(0, '^lanthorn %d', '--version')
  expect(0, 'Usage: runner run', 'run', '--help')
  expect(0, 'Usage: runner ls', 'help', 'ls')
end)

t.test('a closed stdout does not end a script with a signal', function()
  local runner = t.quote(host.folder .. '/runner')
  local output = t.shell(runner .. " -e 'for i = 1, 1e5 do print(i) end io.stderr:write(\"done\\n\")' | head -1")
  t.equal(output, '1\ndone\n')
end)

t.test('no command loads the native module before it is run: --help and completion stay quick', function()
  local script = t.write_file [[
for _, name in ipairs(require('base.room').names 'commands') do
  require('commands.' .. name)
  assert(not package.loaded.lanthorn, name .. ' loads it')
end
print 'none']]
  t.equal((t.runner(script)), 'none\n')
end)
