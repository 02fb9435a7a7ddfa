-- %words of the prompt, who(), what completion knows of options, and the script that %save writes.
local chunk = require 'prompt.chunk'
local completion = require 'prompt.completion'
local host = require 'host'
local save = require 'prompt.magic.save'
local t = require 'testing'

local RUNNER = t.quote(host.folder .. '/runner')

local function feed(text, environment)
  local path = t.write_file(text)
  local output, code = t.shell(('%s %s < %s 2>&1'):format(environment or '', RUNNER, path))
  return output, code
end

t.test('%time, %timeit, %profile and %mem measure', function()
  local output, code = feed('x = torch.ones{50, 50}\n%time x:mm(x);\n%timeit x:mm(x)\n%mem\n'
    .. 'x = torch.ones{300, 300}\n%profile (function() for i = 1, 1000 do x:mm(x) end end)()\n')
  t.equal(code, 0, output)
  t.matches(output, 'wall %d[%d.e-]* ms, CPU %d[%d.e-]* ms %(all threads%)\n')
  t.matches(output,
    '\n%d[%d.]* %a+ %+%- %d[%d.]* %a+ per loop %(mean %+%- std%. dev%. of 7 runs, [%d,]+ loops? each%)\n')
  t.matches(output, 'tensors %d+%.%d MB, Lua %d+%.%d MB, process %d+%.%d MB')
  t.matches(output, '%d%d?%d?%.%d %%  stdin:%d+\n')
  t.matches(output, 'samples? of 1 ms: native code')
end)

t.test('a word without what it needs, or that there is not, is told', function()
  local output, code = feed('%time\n%timeit\n%profile\n%run\n%run nothing.lua\n%save\n%tme 1\n%timeit x = = 1\n')
  t.equal(code, 1)
  for _, part in ipairs { 'of what? %time x:mm(x)', 'of what? %timeit x:mm(x)', 'of what? %profile f()',
    'which file? %run', "script 'nothing.lua' does not exist", 'into which file? %save session.lua',
    'there is no %tme; nearest: time', "unexpected symbol near '='" } do
    t.contains(output, part)
  end
end)

t.test('who lists what the user made, %reset forgets it', function()
  local output = feed('who()\nx = torch.zeros{2, 3}; n = 4; m = nn.Linear{2, 2}; f = print; t = {1, 2}\nwho()\n'
    .. '%reset\nwho()\nx\n')
  t.matches(output, '^no variables yet\n')
  t.matches(output, '\nf  function\n'
    .. 'm  Module +6 parameters +24 B\nn  number +4\nt  table +2 entries\nx  Tensor +float32 %(2, 3%) +24 B\n')
  t.matches(output, '\n5 variables forgotten\nno variables yet\nnil\n$')
  t.matches(feed("long = setmetatable({}, { __tostring = function() return ('x'):rep(150) end })\n"
    .. 'x = torch.ones{2}\nwho()\n'), 'long  table   x+\nx     Tensor  float32 %(2%)%s+8 B\n')
end)

t.test('%run runs a script in the session, %edit what an editor wrote', function()
  local script = t.write_file('made = 7\nprint("args", ...)\n')
  local output, code = feed(('%%run %s a b\nmade\n'):format(script))
  t.equal(code, 0, output)
  t.equal(output, 'args\ta\tb\n7\n')
  output = feed('1 + 1\n%edit\nedited\n', [[EDITOR='sh -c "echo edited = 9 > \"\$1\"" sh']])
  t.equal(output, '2\n9\n')
  t.contains(feed('%edit\n', 'EDITOR=false'), "the editor 'false' ended with")
end)

t.test('the script of a session runs and prints what the session showed', function()
  local script = save.script { 'x = 3', 'x', 'local y = 5', 'print(x)', '1 + 1;', 'torch.ones{1}:item()', '= 4',
    'function f()\n  return 8\nend', 'f()', 'x = 9; x' }
  t.contains(script, "local torch = require 'torch'\n")
  t.contains(script, 'do local y = 5 end\n')
  local output, code = t.runner(t.write_file(script))
  t.equal(code, 0, output)
  t.equal(output, '3\n3\n4\n9\n')
end)

t.test('%save writes what worked, and no file twice', function()
  local path = t.temporary_path()
  local output, code = feed(('x = 3\nerror "no"\nx\n%%save %s\n%%save %s\n'):format(path, path))
  t.equal(code, 1, output)
  t.contains(output, '2 inputs in ' .. path)
  t.contains(output, 'exists already; name another file')
  t.equal((t.runner(path)), '3\n')
end)

t.test('a local that is asked for behind its line is told of once', function()
  local output = feed('local a, b = 1, 2\na\na\nlocal function f() end\nf\nif true then local c = 1 end\nc\n')
  t.contains(output, "'a' was local, and a local ends with its line")
  t.contains(output, "'f' was local")
  t.is_false(output:find("'c' was", 1, true))
  t.equal(select(2, output:gsub("'a' was", '')), 1)
  t.equal(chunk.locals 'local x <const', { 'x' })
end)

t.test('$ runs a shell command, exit leaves, and a variable of that name is a variable', function()
  t.equal(feed '$ echo shell\nexit\nprint(1)\n', 'shell\n')
  t.equal(feed 'exit = 5\nexit\nprint(1)\n', '5\n1\n')
  t.equal(feed 'quit()\nprint(1)\n', '')
end)

t.test('options are completed inside the table of a call, in tables of it, and in a config', function()
  t.equal(completion.complete 'train.fit { opti', { 'optim', 'options' })
  t.equal((completion.complete 'train.start { options = { ep')[1], 'epochs')
  t.equal((completion.complete('lr = 1, clip_no', 'train.fit { optim = {\n'))[1], 'clip_norm')
  t.equal((completion.complete 'experiment.config { opt')[1], 'optim')
  t.equal((completion.complete 'experiment.config { data = { see')[1], nil)
  t.equal((completion.complete 'nn.GRU { hid')[1], 'hidden_size')
  t.equal((completion.complete 'models.char_rnn({ voc')[1], 'vocab')
  t.equal((completion.complete 'data.text { file = "a{b", bat')[1], 'batch')
  t.equal(completion.complete '%ti', { 'time', 'timeit' })
  _G.nested = { list = { { deep = { value = 1 } } } }
  t.equal(completion.complete 'nested.list[1].de', { 'deep' })
  t.equal(completion.complete 'x = nested.list[1].deep.v', { 'value' })
  _G.nested = nil
end)
